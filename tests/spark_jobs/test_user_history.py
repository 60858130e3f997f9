"""The newest takes of each user at the end of each day."""

from datetime import date

import pyarrow as pa
import pytest

from features.names import TABLE_USER_HISTORY
from spark_jobs import user_history
from spark_jobs.user_history import bucket_histories, distinct_takes
from tests.spark_jobs.conftest import event, ms

COLUMNS = ("ds", "user_id", "item_ids", "event_times_ms", "event_ids")


def take(event_id, user, item, at, ingest=None, offset=0, ds="2026-01-01"):
    return {"user_id": user, "item_id": item, "event_id": event_id, "event_ms": at,
            "ingest_ms": at if ingest is None else ingest, "partition": 0, "offset": offset, "ds": ds}


def test_a_repeated_id_keeps_the_first_ingested_take():
    rows = pa.Table.from_pylist([take("a", "u", "i2", 9, 20), take("a", "u", "i1", 5, 10), take("b", "u", "i3", 7, 15)])
    assert distinct_takes(rows)["item_id"].to_pylist() == ["i1", "i3"]


def test_of_many_takes_the_newest_500_stay_oldest_first():
    rows = pa.Table.from_pylist([take(f"e{n:03}", "u", f"i{n}", n) for n in range(700)] + [take("x", "v", "i1", 3)])
    found = bucket_histories(date(2026, 1, 1), date(2026, 1, 2))(rows).to_pylist()
    assert [(row["user_id"], len(row["item_ids"])) for row in found] == [("u", 500), ("v", 1)]
    assert found[0]["item_ids"][0] == "i200"
    assert found[0]["item_ids"][-1] == "i699"
    assert found[0]["event_times_ms"] == list(range(200, 700))


def log():
    return [
        event("a", "click", "u1", "i1", "01-01 10:00"), event("v", "impression", "u1", "i1", "01-01 10:00"),
        event("b", "order", "u1", "i2", "01-01 10:00"), event("c", "click", "u2", "i3", "01-02 08:00"),
        event("late", "click", "u1", "i9", "01-01 09:00", "01-03 12:00"),
        event("a", "click", "u1", "i1", "01-01 10:00", "01-03 13:00"),
        event("d", "click", "u1", "i1", "01-03 14:00"), event("e", "click", "u1", "i4", "01-04 00:00")]


@pytest.mark.spark
def test_each_day_holds_what_was_known_at_its_end_and_a_day_goes_on_from_the_one_before(home):
    home.add_events(log())
    home.run(user_history, "2026-01-01", "2026-01-04")
    ten, eight, nine, two = ms("01-01 10:00"), ms("01-02 08:00"), ms("01-01 09:00"), ms("01-03 14:00")
    expected = [
        ("2026-01-01", "u1", ["i1", "i2"], [ten, ten], ["a", "b"]),
        ("2026-01-02", "u1", ["i1", "i2"], [ten, ten], ["a", "b"]),
        ("2026-01-02", "u2", ["i3"], [eight], ["c"]),
        ("2026-01-03", "u1", ["i9", "i1", "i2", "i1"], [nine, ten, ten, two], ["late", "a", "b", "d"]),
        ("2026-01-03", "u2", ["i3"], [eight], ["c"])]
    assert home.rows(TABLE_USER_HISTORY, *COLUMNS) == expected
    run = home.run(user_history, "2026-01-03", "2026-01-04")
    assert run.facts["base"] == "2026-01-02"
    assert home.rows(TABLE_USER_HISTORY, *COLUMNS) == expected
