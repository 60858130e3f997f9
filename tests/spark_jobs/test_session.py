"""The session: UTC, and nothing outside the state folder."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.spark


def test_times_are_utc_whatever_the_machine_says(spark):
    assert spark.sql("SELECT date_format(timestamp_millis(0), 'yyyy-MM-dd HH:mm')").first()[0] == "1970-01-01 00:00"


@pytest.mark.parametrize("key", ["spark.local.dir", "spark.sql.warehouse.dir"])
def test_scratch_lies_under_the_state_folder(spark, key):
    assert "tmp/spark" in spark.conf.get(key)
    assert not Path(spark.conf.get(key).removeprefix("file:")).is_relative_to(Path.cwd() / "spark-warehouse")


def test_java_writes_its_temporary_files_there_too(spark):
    assert spark.sparkContext._jvm.System.getProperty("java.io.tmpdir").endswith("tmp/spark")


def test_no_port_is_opened_for_the_web_pages(spark):
    assert spark.sparkContext.uiWebUrl is None
