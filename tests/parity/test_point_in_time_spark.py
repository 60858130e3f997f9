"""The same questions, answered from one Delta version by Feast on Spark, Feast on DuckDB and the training frame's own join."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.layout import Layout
from features.retrieval import FeatureStoreConfig, historical_maturity
from spark_jobs import lake
from spark_jobs.point_in_time import newest_readable

pytestmark = [pytest.mark.spark, pytest.mark.feast]
START_MS = 1_767_225_600_000


@pytest.fixture
def session(tmp_path, delta_jars):
    """The run's session, or one that other tests then share: it ends with the process."""
    from spark_jobs.session import spark_session

    settings = SimpleNamespace(
        home=tmp_path, spark=SimpleNamespace(master="local[2]", driver_memory="1g", shuffle_partitions=2))
    spark = spark_session("parity", settings, delta_jars)
    yield spark
    spark.conf.set("spark.sql.parser.quotedRegexColumnNames", "false")  # Feast leaves it on; training_frame undoes it too


def test_spark_and_duckdb_give_the_same_training_rows(session, tmp_path, write_maturity):
    random = np.random.default_rng(11)
    drawn = zip(random.integers(0, 8, 300).tolist(), random.integers(0, 500, 300).tolist(), strict=True)
    items, ticks = zip(*sorted(set(drawn)), strict=True)
    write_maturity(tmp_path, [f"i{item}" for item in items], START_MS + np.array(ticks) * 10_000,
                   random.integers(0, 99, len(items)), random.integers(0, 9, len(items)))
    write_maturity(tmp_path, ["i1"], [START_MS], [10**6], [0])  # a version that is not asked for
    moments = START_MS + random.integers(-5, 510, 400) * 10_000 + random.choice([0, 1_999, 2_000], 400)
    asked = pd.DataFrame({
        "event_id": [f"e{n}" for n in range(401)], "item_id": [f"i{item}" for item in random.integers(0, 10, 400)] + ["i2"],
        "event_time": pd.to_datetime([*moments, START_MS + 10**7], unit="ms", utc=True)})
    asked = pd.concat([asked, asked.tail(1).assign(event_id="twin")], ignore_index=True)
    answers = [historical_maturity(FeatureStoreConfig(tmp_path, "127.0.0.1:1", offline_store=store), asked, version=0)
               for store in ("duckdb", "spark")]
    assert answers[0]["exposure_7d"].notna().sum() > 250
    for column in answers[0]:
        assert answers[0][column].astype(str).tolist() == answers[1][column].astype(str).tolist(), column

    session.conf.set("spark.sql.parser.quotedRegexColumnNames", "false")
    questions = session.createDataFrame(asked).selectExpr("event_id", "item_id", "unix_millis(event_time) AS event_ms")
    published = lake.read_table(session, Layout(tmp_path).table("item_maturity_rebuilt"), 0)
    own = newest_readable(questions, published, 3).toPandas().set_index("event_id").reindex(answers[0]["event_id"])
    ticks = pd.to_datetime(own["tick_ms"], unit="ms", utc=True)
    assert ticks.astype(str).tolist() == answers[0]["tick"].astype(str).tolist()
    for column in ("exposure_7d", "click_7d"):
        assert own[column].astype("Int64").tolist() == answers[0][column].tolist()
