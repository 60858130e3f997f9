"""The maturity rebuild: the golden ticks through Spark, what may not matter, and what a run leaves."""

import random

import pyarrow.parquet as pq
import pytest

from features.artefacts import read_manifest
from features.clock import from_ms
from features.errors import ArtefactError
from features.names import TABLE_MATURITY_REBUILT
from features.windows import DEDUPE_HORIZON_MS
from spark_jobs import item_stats
from spark_jobs.event_log import first_sightings
from tests.spark_jobs.conftest import event, ms

pytestmark = pytest.mark.spark
SCHEMA = "event_id string, event_type string, item_id string, event_ms long, ingest_ms long, partition int, offset long"
HOUR, DAY = 3_600_000, 86_400_000
ROW = ("item_id", "tick", "exposure_7d", "click_7d")


def log(spark, events):
    """events: (id, type, item, event ms, ingest ms) in the order of the log."""
    return spark.createDataFrame([(*row, 0, offset) for offset, row in enumerate(events)], SCHEMA)


def rebuilt(spark, events, until_ms, interval_ms=10_000, horizon_ms=DEDUPE_HORIZON_MS):
    rows = item_stats.maturity_rows(first_sightings(log(spark, events), horizon_ms), 0, until_ms, interval_ms, buckets=3)
    return sorted(tuple(row) for row in rows.collect())


def test_every_golden_row_is_published(spark, load_golden):
    for case in load_golden("maturity_ticks"):
        given = case["inputs"]
        events = [(e["event_id"], e["event_type"], e["item_id"], e["event_time_ms"], e["ingest_ms"]) for e in given["events"]]
        expected = sorted((r["item_id"], r["tick_ms"], r["exposure_7d"], r["click_7d"]) for r in case["expected"]["rows"])
        counted = [e for e in events if e[1] != "order"]
        # These logs hold events days ahead of their ingestion, which the stream would refuse: their ids must be kept longer.
        rows = rebuilt(spark, counted, given["until_ms"], given["publish_interval_ms"], horizon_ms=30 * DAY)
        assert rows == expected, case["name"]


def random_log(seed):
    """300 events over twelve days of six items, late and ahead of their time."""
    draw = random.Random(seed)
    rows = []
    for n in range(300):
        at = draw.randrange(12 * DAY)
        ingest = at + draw.choice([0, 0, 250, 3 * HOUR, 3 * DAY, -200_000])
        rows.append((f"{seed}-{n}", draw.choice(["impression", "impression", "click"]), f"i{seed}-{n % 6}", at, max(ingest, 0)))
    return sorted(rows, key=lambda row: row[4])


def test_repeats_order_and_events_from_the_bound_on_change_nothing(spark):
    until = 9 * DAY
    plain, odd = [], []
    for seed in range(8):
        draw, rows = random.Random(100 + seed), random_log(seed)
        known = [row for row in rows if row[4] < until]
        repeats = [(*row[:4], row[4] + draw.randrange(1, 5 * DAY)) for row in draw.sample(known, 60)]
        future = [(f"later-{seed}-{n}", "click", f"i{seed}-{n % 6}", until - HOUR, until + n) for n in range(20)]
        plain += known
        odd += rows + repeats + future
    draw.shuffle(odd)
    odd.sort(key=lambda row: row[4])  # the log's order; whatever came in one millisecond came in any order
    assert rebuilt(spark, odd, until) == rebuilt(spark, plain, until)


def test_an_id_seen_again_after_the_horizon_is_a_new_event(spark):
    for gap, expected in ((DEDUPE_HORIZON_MS, [(1,)]), (DEDUPE_HORIZON_MS + 1, [(1,), (1,)])):
        events = log(spark, [("a", "click", "i", DAY, DAY), ("a", "click", "i", DAY + gap, DAY + gap)])
        assert [tuple(row) for row in first_sightings(events).selectExpr("1").collect()] == expected


def days_of_events():
    return [
        event("a", "impression", "u", "i1", "01-03 10:00:05"), event("b", "click", "u", "i1", "01-03 10:00:07"),
        event("o", "order", "u", "i1", "01-03 10:00:08"), event("b", "click", "u", "i1", "01-03 10:00:07", "01-03 12:00"),
        event("c", "impression", "u", "i2", "01-09 23:00"), event("d", "impression", "u", "i2", "01-10 00:01", "01-09 23:59"),
        event("e", "impression", "u", "i3", "01-10 09:00")]


def test_a_run_writes_its_days_and_the_state_of_their_end_and_changes_neither_when_repeated(home):
    home.add_events(days_of_events())
    run = home.run(item_stats, "2026-01-03", "2026-01-10")
    assert home.rows(TABLE_MATURITY_REBUILT, *ROW) == [
        ("i1", from_ms(ms("01-03 10:00:10")), 1, 1), ("i2", from_ms(ms("01-09 23:00:10")), 1, 0)]
    assert run.rows == {"in": 6, "out": 2, "rejected": {"repeated id": 1}}
    folder = home.layout.maturity_state("2026-01-10")
    state = {name: sorted(tuple(row.values()) for row in pq.read_table(folder / f"{name}.parquet").to_pylist())
             for name in ("hour_counts", "pending", "seen", "last_rows")}
    assert state["hour_counts"] == [("i1", ms("01-03 10:00"), 1, 1), ("i2", ms("01-09 23:00"), 1, 0)]
    assert state["pending"] == [("d", "impression", "i2", ms("01-10 00:01"), ms("01-09 23:59"))]
    assert state["seen"] == [("a", "i1", ms("01-03 10:00:05")), ("b", "i1", ms("01-03 12:00")),
                             ("c", "i2", ms("01-09 23:00")), ("d", "i2", ms("01-09 23:59")), ("o", "i1", ms("01-03 10:00:08"))]
    assert state["last_rows"] == [("i1", ms("01-03 10:00:10"), 1, 1), ("i2", ms("01-09 23:00:10"), 1, 0)]
    manifest = read_manifest(folder, kind="maturity_state", verify=True)
    assert (manifest["as_of"], manifest["watermark_ms"]) == ("2026-01-10", ms("01-10 00:00"))
    assert manifest["rows"] == {"hour_counts": 2, "pending": 1, "seen": 5, "last_rows": 2}

    written = home.rows(TABLE_MATURITY_REBUILT, *ROW, "ds")
    home.run(item_stats, "2026-01-09", "2026-01-10")
    assert home.rows(TABLE_MATURITY_REBUILT, *ROW, "ds") == written
    assert read_manifest(folder)["files"] == manifest["files"]

    home.add_events([event("z", "click", "u", "i9", "01-09 12:00")])
    with pytest.raises(ArtefactError, match="another hour_counts.parquet, last_rows.parquet, seen.parquet.*delete the folder"):
        home.run(item_stats, "2026-01-09", "2026-01-10")
    assert read_manifest(folder, verify=True) == manifest
