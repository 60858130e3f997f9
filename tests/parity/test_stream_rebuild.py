"""Stream = Spark: the rows published from Kafka are the rows that Spark rebuilds from the lake that Kafka filled.

    events ─► Kafka ─┬─► maturity role ─► item_maturity_log ───────┐
                     └─► lake role ─► events ─► Spark item_stats ─► item_maturity_rebuilt ─► verify
                                         └────► maturity_state/D ─► seed ─► maturity role ─► the same rows from D on
"""

import importlib.util
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

from features.names import TABLE_MATURITY_LOG, TABLE_USER_HISTORY
from streaming.raw_lake import LakeRole
from streaming.report import Report
from streaming.seed import seed_histories, seed_state
from streaming.sinks import LakeSink, MemorySink
from streaming.user_history import UserHistories
from streaming.verify import verify

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("stream_under_test", ROOT / "tests" / "streaming" / "conftest.py")
HARNESS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(HARNESS)
stream, make_events, wait_until, with_settings = HARNESS.stream, HARNESS.make_events, HARNESS.wait_until, HARNESS.with_settings

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
T0, DAY_MS = HARNESS.T0, 86_400_000
D0, D2, D13 = date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 14)
# Each job's work in one Spark session: the session is the dear part.
JOBS = """
import argparse
from datetime import date
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import item_stats, user_history
from spark_jobs.run import Run
from spark_jobs.session import spark_session
settings = load_settings()
spark = spark_session("parity", settings, delta_jars(settings.home))
for name, job, as_of in (("item_stats", item_stats, 3), ("item_stats", item_stats, 14), ("user_history", user_history, 5)):
    run = Run(name, spark, settings, date(2026, 1, 1), date(2026, 1, as_of))
    job.work(run, argparse.Namespace())
    run.finish()
spark.stop()
"""


@pytest.fixture
def odd_events(make_events):
    """Four days; one id in twenty comes twice. Some are ahead of their ingest time, some older than the window, some orders."""
    events = make_events(4_000, seed=21)
    for n, event in enumerate(events):
        if n % 97 == 0:
            event["event_time_ms"] = event["ingest_ms"] + 240_000
        if n % 101 == 0:
            event["event_time_ms"] = event["ingest_ms"] - 9 * DAY_MS
        if n % 53 == 0:  # also of a repeated id, whose other sighting is then an impression or a click
            event["event_type"] = "order"
    return events


def run_jobs(home):
    done = subprocess.run([sys.executable, "-c", JOBS], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"GATESID_HOME": str(home), "GATESID_SPARK__SHUFFLE_PARTITIONS": "2"})
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-3_000:]


def test_stream_and_rebuild_agree_on_every_row(stream, odd_events, wait_until, with_settings):
    config, end_ms = stream.config, T0 + 13 * DAY_MS
    stream.send(odd_events, end_ms)
    memory, log = MemorySink(), LakeSink(config.layout.table(TABLE_MATURITY_LOG), config.group, config.events_topic)
    stop_lake = stream.start(LakeRole(config, stream.broker.cluster_id(), Report(config, "lake")))
    stop_maturity = stream.start(stream.maturity(memory, log))
    assert wait_until(lambda: config.ready_file("lake").is_file() and config.ready_file("maturity").is_file())
    stop_maturity()
    stop_lake()
    run_jobs(config.home)

    verdict = verify(config, D0, D13)
    assert verdict.differing == 0, verdict.lines()
    assert verdict.streamed > 3_000

    history = DeltaTable(str(config.layout.table(TABLE_USER_HISTORY))).to_pyarrow_table(partitions=[("ds", "=", "2026-01-04")])
    rebuilt = {r["user_id"]: (r["item_ids"], r["event_times_ms"]) for r in history.to_pylist()}
    assert {user: (items, times) for user, (_, items, times) in memory.histories.items()} == rebuilt

    seeded = with_settings(config, group=f"{config.group}-seeded")
    again = HARNESS.StreamUnderTest(seeded)
    try:
        store = again.store()
        assert seed_state(seeded, again.broker, store, D2, replace=False).partitions == [0, 1, 2, 3]
        assert seed_histories(seeded, UserHistories(again.client, seeded.group), D2) > 0
        sink = MemorySink()
        stop = again.start(again.maturity(sink))
        assert wait_until(lambda: seeded.ready_file("maturity").is_file())
        stop()
        assert sink.log == {row for row in memory.log | all_rows(config) if row[1] >= T0 + 2 * DAY_MS}
        assert {u: h[1] for u, h in sink.histories.items()} == {u: memory.histories[u][1] for u in sink.histories}
    finally:
        again.close()


def all_rows(config):
    table = DeltaTable(str(config.layout.table(TABLE_MATURITY_LOG))).to_pyarrow_table().to_pylist()
    return {(r["item_id"], int(r["tick"].timestamp() * 1000), r["exposure_7d"], r["click_7d"]) for r in table}
