"""Maturity rebuilt from raw events: every row that publication at the ticks of [from, as_of) would have left.

The definition is features/windows.py's; here it only meets the lake. Items are spread over buckets by hash, and each
bucket is one vectorised NumPy call, so a viral item costs its events and no more. The truth that the stream is checked
against, the backfill, and (maturity_state.py) what the stream starts from.

    python -m spark_jobs.item_stats --from 2026-08-24 --as-of 2026-11-22
"""

import argparse
import sys
from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.clock import MS_PER_DAY, day_start_ms
from features.events import CLICK, IMPRESSION
from features.names import CLICK_7D, DS, EVENT_TYPE, EXPOSURE_7D, ITEM_ID, TABLE_EVENTS, TABLE_MATURITY_REBUILT, TICK
from features.windows import DEDUPE_HORIZON_MS, HOUR_MS, PUBLISH_INTERVAL_MS, WINDOW_MS, check_interval, published_rows
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import lake
from spark_jobs.event_log import EVENT_MS, INGEST_MS, NEEDED, day_of, first_sightings, in_milliseconds
from spark_jobs.maturity_state import write_state
from spark_jobs.run import Run, job_parser, run_job

LAST_ROW_MS = WINDOW_MS + HOUR_MS  # an item that still has counts had its last row at most so long ago
BUCKETS_PER_TASK = 4  # a bucket is held in memory by one Python worker
TICK_MS = "tick_ms"
ROW_SCHEMA = f"{ITEM_ID} string, {TICK_MS} long, {EXPOSURE_7D} long, {CLICK_7D} long"
# An event counts until 169 h after its hour, and what makes it a repeat lies a dedupe horizon before it. The same two spans
# hold all that bears on the last row of an item which still has counts at as_of.
LOOKBACK = timedelta(days=-(-2 * DEDUPE_HORIZON_MS // MS_PER_DAY))


def maturity_rows(
    events: DataFrame, from_ms: int, until_ms: int, interval_ms: int = PUBLISH_INTERVAL_MS, buckets: int = 8,
) -> DataFrame:
    """Every row published at the ticks of [from_ms, until_ms]: item_id, tick_ms, exposure_7d, click_7d.

    `events`: impressions and clicks, distinct by event_id, with event_ms and ingest_ms (event_log.py), since LOOKBACK
    before `from_ms`.
    """
    slim = events.select(ITEM_ID, (F.col(EVENT_TYPE) == CLICK).alias("is_click"), EVENT_MS, INGEST_MS,
                         F.pmod(F.xxhash64(ITEM_ID), F.lit(buckets)).alias("bucket"))
    return slim.groupBy("bucket").applyInArrow(bucket_rows(from_ms, until_ms, interval_ms), ROW_SCHEMA)


def bucket_rows(from_ms: int, until_ms: int, interval_ms: int) -> Callable[[pa.Table], pa.Table]:
    """One bucket's events to its published rows."""
    def rows(events: pa.Table) -> pa.Table:
        items = events[ITEM_ID].combine_chunks().dictionary_encode()
        published = published_rows(
            items.indices.to_numpy().astype("int64"), events["is_click"].to_numpy(), events[EVENT_MS].to_numpy(),
            events[INGEST_MS].to_numpy(), interval_ms, until_ms)
        wanted = published[1] >= from_ms
        item, tick, exposure, click = (column[wanted] for column in published)
        return pa.table({ITEM_ID: items.dictionary.take(pa.array(item)), TICK_MS: tick, EXPOSURE_7D: exposure, CLICK_7D: click})
    return rows


def as_table(rows: DataFrame) -> DataFrame:
    """Rows as `item_maturity_rebuilt` holds them."""
    return rows.select(ITEM_ID, F.timestamp_millis(TICK_MS).alias(TICK), EXPOSURE_7D, CLICK_7D, day_of(TICK_MS).alias(DS))


def work(run: Run, arguments: argparse.Namespace) -> str:
    interval_ms = check_interval(run.settings.stream.publish_interval_ms)
    as_of_ms = day_start_ms(run.as_of)
    sighted = in_milliseconds(lake.between(run.read(TABLE_EVENTS, NEEDED), run.first - LOOKBACK, run.as_of))
    first = first_sightings(sighted)  # of orders too: an id that an order had is a repeat in whatever comes after it
    distinct = first.where(F.col(EVENT_TYPE).isin(IMPRESSION, CLICK))
    count_events(run, sighted, first)
    buckets = BUCKETS_PER_TASK * run.settings.spark.shuffle_partitions
    rows = maturity_rows(distinct, day_start_ms(run.first), as_of_ms - interval_ms, interval_ms, buckets)
    version = run.replace_days(as_table(rows), TABLE_MATURITY_REBUILT)

    recent = lake.between(distinct, run.as_of - LOOKBACK, run.as_of)
    last = maturity_rows(recent, as_of_ms - LAST_ROW_MS, as_of_ms, interval_ms, buckets)
    folder, written = write_state(run, lake.between(sighted, run.as_of - LOOKBACK, run.as_of), recent, last, interval_ms)
    run.facts |= {"publish_interval_ms": interval_ms, "maturity_state": str(folder)}
    run.log(f"{TABLE_MATURITY_REBUILT}@{version} | {folder} {'written' if written else 'is as it was'}")
    return f"{TABLE_MATURITY_REBUILT}@{version}"


def count_events(run: Run, sighted: DataFrame, first: DataFrame) -> None:
    """What was read, and how much of it is odd: repeated, late beyond the window, ahead of its ingest time."""
    late = F.count_if(F.col(INGEST_MS) - F.col(EVENT_MS) > WINDOW_MS)
    total, late, ahead = sighted.select(F.count(F.lit(1)), late, F.count_if(F.col(EVENT_MS) > F.col(INGEST_MS))).first()
    run.rows["in"] = total
    run.reject("repeated id", total - first.count() if first is not sighted else 0)
    run.facts |= {"later_than_window": late, "ahead_of_ingest": ahead}


def options() -> argparse.ArgumentParser:
    return job_parser("spark_jobs.item_stats", __doc__)


def main(argv: list[str] | None = None) -> int:
    return run_job("item_stats", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
