"""User histories: each user's newest 500 takes (clicks and orders) at the end of every day of [from, as_of).

A day's partition is the one before it plus that day's events, or, where there is none, the events since `from`. Users
are spread over buckets by hash; one bucket is one vectorised call.

    python -m spark_jobs.user_history --from 2026-08-24 --as-of 2026-11-22
"""

import argparse
import sys
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.events import CLICK, ORDER
from features.history import HISTORY_KEPT
from features.names import DS, EVENT_ID, EVENT_TYPE, ITEM_ID, TABLE_EVENTS, TABLE_USER_HISTORY, USER_ID
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import lake
from spark_jobs.event_log import EVENT_MS, HORIZON, INGEST_MS, INGEST_ORDER, NEEDED, first_sightings, in_milliseconds
from spark_jobs.known_takes import ALWAYS_MS
from spark_jobs.run import Run, job_parser, run_job

BUCKETS_PER_TASK = 4
COLUMNS = (USER_ID, "item_ids", "event_times_ms", "event_ids", DS)
SCHEMA = f"{USER_ID} string, item_ids array<string>, event_times_ms array<long>, event_ids array<string>, {DS} string"
TAKE_COLUMNS = (USER_ID, ITEM_ID, EVENT_ID, EVENT_MS, INGEST_MS, "partition", "offset", DS)


def takes(events: DataFrame) -> DataFrame:
    """The clicks and orders of the log, times in milliseconds; one whose id another event had before is none (R27)."""
    return first_sightings(in_milliseconds(events)).where(F.col(EVENT_TYPE).isin(CLICK, ORDER)).select(*TAKE_COLUMNS)


def earlier_takes(history: DataFrame, day: date) -> DataFrame:
    """The takes of the partition `day` as rows like `takes`, known since before everything else."""
    zipped = F.explode(F.arrays_zip("item_ids", "event_times_ms", "event_ids")).alias("take")
    return history.where(F.col(DS) == day.isoformat()).select(USER_ID, zipped).select(
        USER_ID, F.col("take.item_ids").alias(ITEM_ID), F.col("take.event_ids").alias(EVENT_ID),
        F.col("take.event_times_ms").alias(EVENT_MS), F.lit(int(ALWAYS_MS)).alias(INGEST_MS), F.lit(-1).alias("partition"),
        F.lit(-1).cast("long").alias("offset"), F.lit(day.isoformat()).alias(DS))


def distinct_takes(table: pa.Table) -> pa.Table:
    """Each event_id once, the first ingested; ordered by user and (event time, event id)."""
    ingested = table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in INGEST_ORDER]))
    _, first = np.unique(ingested[EVENT_ID].combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True)
    distinct = ingested.take(pa.array(first))
    return distinct.take(pc.sort_indices(distinct, sort_keys=[(name, "ascending") for name in (USER_ID, EVENT_MS, EVENT_ID)]))


def histories(takes: DataFrame, first: date, as_of: date, buckets: int = 8) -> DataFrame:
    """The rows of `user_history` for the days of [first, as_of). A user has a row from the day of the first take on."""
    bucket = F.pmod(F.xxhash64(USER_ID), F.lit(buckets))
    return takes.withColumn("bucket", bucket).groupBy("bucket").applyInArrow(bucket_histories(first, as_of), SCHEMA)


def bucket_histories(first: date, as_of: date) -> Callable[[pa.Table], pa.Table]:
    wanted = lake.days(first, as_of)

    def rows(table: pa.Table) -> pa.Table:
        ordered = distinct_takes(table).combine_chunks()
        users = ordered[USER_ID].combine_chunks().dictionary_encode()
        user, known_on = users.indices.to_numpy(), ordered[DS].to_numpy(zero_copy_only=False).astype("U10")
        return pa.concat_tables([one_day(ordered, users.dictionary, user, known_on, day.isoformat()) for day in wanted])
    return rows


def one_day(ordered: pa.Table, names: pa.Array, user: np.ndarray, known_on: np.ndarray, day: str) -> pa.Table:
    """The newest takes of every user at the end of `day`."""
    known = np.flatnonzero(known_on <= day)
    ends = np.flatnonzero(np.r_[user[known][1:] != user[known][:-1], True])[:len(known)]
    lengths = np.diff(np.r_[-1, ends])
    from_the_end = np.repeat(ends, lengths) - np.arange(len(known))
    kept = known[from_the_end < HISTORY_KEPT]
    offsets = np.r_[0, np.cumsum(np.minimum(lengths, HISTORY_KEPT))].astype("int32")
    values = ordered.take(pa.array(kept))

    def lists(column: str) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets), values[column].combine_chunks())

    return pa.table({
        USER_ID: names.take(pa.array(user[known][ends])), "item_ids": lists(ITEM_ID), "event_times_ms": lists(EVENT_MS),
        "event_ids": lists(EVENT_ID), DS: pa.array([day] * len(ends), pa.string())})


def work(run: Run, arguments: argparse.Namespace) -> str:
    log = run.read(TABLE_EVENTS, NEEDED)
    of_range = lake.between(takes(lake.between(log, run.first - HORIZON, run.as_of)), run.first, run.as_of)
    run.rows["in"] = of_range.count()
    before = run.first - timedelta(days=1)
    base = None
    if run.has(TABLE_USER_HISTORY):
        earlier = earlier_takes(run.read(TABLE_USER_HISTORY, COLUMNS), before)
        base = earlier if not earlier.isEmpty() else None
    run.facts["base"] = before.isoformat() if base is not None else None
    buckets = BUCKETS_PER_TASK * run.settings.spark.shuffle_partitions
    rows = histories(of_range if base is None else of_range.union(base), run.first, run.as_of, buckets)
    version = run.replace_days(rows, TABLE_USER_HISTORY)
    run.log(f"{TABLE_USER_HISTORY}@{version} from {run.facts['base'] or 'events alone'}")
    return f"{TABLE_USER_HISTORY}@{version}"


def options() -> argparse.ArgumentParser:
    return job_parser("spark_jobs.user_history", __doc__)


def main(argv: list[str] | None = None) -> int:
    return run_job("user_history", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
