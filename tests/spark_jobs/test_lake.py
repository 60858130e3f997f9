"""Delta tables from Spark: exactly the days asked for, in one commit, and nothing twice."""

from datetime import date

import pytest

from features.errors import SchemaError
from spark_jobs import lake

pytestmark = pytest.mark.spark


@pytest.fixture
def frame(spark):
    return lambda *rows: spark.createDataFrame(rows, "id string, n int, ds string")


def content(spark, path, version):
    return sorted(tuple(row) for row in lake.read_table(spark, path, version).collect())


def test_replacing_a_day_leaves_the_others_and_can_be_repeated(spark, frame, tmp_path):
    path = tmp_path / "table"
    lake.replace_days(frame(("a", 1, "2026-01-01"), ("b", 2, "2026-01-02")), path, date(2026, 1, 1), date(2026, 1, 3))
    again = [lake.replace_days(frame(("c", 3, "2026-01-02")), path, date(2026, 1, 2), date(2026, 1, 3), ("id",)) for _ in "ab"]
    expected = [("a", 1, "2026-01-01"), ("c", 3, "2026-01-02")]
    assert [content(spark, path, version) for version in again] == [expected, expected]
    assert lake.rows_written(path, again[-1]) == 1
    assert content(spark, path, 0) == [("a", 1, "2026-01-01"), ("b", 2, "2026-01-02")], "an older version can still be read"


def test_rows_of_another_day_are_refused_and_nothing_is_written(frame, tmp_path):
    path = tmp_path / "table"
    lake.replace_days(frame(("a", 1, "2026-01-01")), path, date(2026, 1, 1), date(2026, 1, 2))
    with pytest.raises(Exception, match="(?i)replace.?where"):
        lake.replace_days(frame(("b", 2, "2026-01-05")), path, date(2026, 1, 1), date(2026, 1, 2))
    assert lake.table_version(path) == 0


def test_a_day_without_rows_is_emptied(spark, frame, tmp_path):
    path = tmp_path / "table"
    lake.replace_days(frame(("a", 1, "2026-01-01")), path, date(2026, 1, 1), date(2026, 1, 2))
    version = lake.replace_days(frame(("a", 1, "2026-01-01")).where("n > 1"), path, date(2026, 1, 1), date(2026, 1, 2))
    assert content(spark, path, version) == []


def test_only_rows_with_new_keys_are_appended_and_old_ones_stay(spark, frame, tmp_path):
    path = tmp_path / "table"
    lake.append_new_rows(frame(("a", 1, "v1")), path, ("id", "ds"), partition="ds")
    version = lake.append_new_rows(frame(("a", 9, "v1"), ("a", 2, "v2"), ("b", 3, "v1")), path, ("id", "ds"), partition="ds")
    assert content(spark, path, version) == [("a", 1, "v1"), ("a", 2, "v2"), ("b", 3, "v1")]
    assert lake.rows_written(path, version) == 2


def test_a_first_append_of_many_small_tasks_leaves_one_file(spark, frame, tmp_path):
    lake.append_new_rows(frame(*((f"r{n}", n, "v1") for n in range(40))).repartition(8), tmp_path / "table", ("id", "ds"))
    assert len(list((tmp_path / "table").glob("*.parquet"))) == 1


def test_a_missing_column_is_named(frame):
    with pytest.raises(SchemaError, match="`events` lacks user_id; it has id, n, ds"):
        lake.require_columns(frame(("a", 1, "2026-01-01")), ("id", "user_id"), "events")
