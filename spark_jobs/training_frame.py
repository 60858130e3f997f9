"""Training rows: one impression each, with its labels and what was known when it was shown.

    labels      clicks and orders attributed to impressions (labels.py), ingested before as_of
    sample      whole user-days, by a hash of user and day: a share of them, the same ones in every run
    history     the user's takes that were known at the impression (known_takes.py)
    maturity    the point-in-time join over `item_maturity_rebuilt`: Feast on DuckDB, or Spark (`[feast] offline_store`)
    served      where the impression's request was logged, all of these as they were served (served_rows.py)

Every impression is kept: where event ids went in that do not come out, the job ends before it writes. One shuffle brings a
user's impressions and takes together; a bucket of users is one vectorised call (frame_rows.py). SIDs are joined when a model
reads the frame (ADR-0002).

    python -m spark_jobs.training_frame --from 2026-08-26 --as-of 2026-11-22 --user-day-share 0.3
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import ConfigError, DataError
from features.events import CLICK, IMPRESSION, ORDER
from features.names import (
    CLICK_7D,
    CLICKED,
    DS,
    EVENT_ID,
    EVENT_TIME,
    EVENT_TYPE,
    EXPOSURE_7D,
    ITEM_ID,
    ONLINE_DAYS,
    ORDERED,
    REQUEST_ID,
    TABLE_EVENTS,
    TABLE_ITEM_INDEX,
    TABLE_ITEMS,
    TABLE_MATURITY_REBUILT,
    TABLE_SERVED_FEATURES,
    TABLE_TRAINING_FRAME,
    TABLE_USER_HISTORY,
    TABLE_USER_INDEX,
    TICK,
    USER_ID,
)
from features.retrieval import config_from, historical_maturity
from features.spec import OOV_ROW
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import lake
from spark_jobs.catalogue import CATALOGUE_COLUMNS, current_items
from spark_jobs.event_log import EVENT_MS, HORIZON, INGEST_MS, NEEDED, first_sightings, in_milliseconds
from spark_jobs.frame_rows import EARLIER_TAKE, ITEM_ROW, PUBLISHED_MS, ROW_SCHEMA, USER_ROW, WANTED, bucket_rows
from spark_jobs.point_in_time import newest_readable
from spark_jobs.run import Run, job_parser, run_job
from spark_jobs.served_rows import MATURITY_TICK, SERVED, as_served, served_rows
from spark_jobs.user_history import BUCKETS_PER_TASK, COLUMNS, earlier_takes

HASH_STEPS = 1_000_000
EVENT_COLUMNS = (USER_ID, ITEM_ID, EVENT_ID, EVENT_TYPE, EVENT_MS, INGEST_MS, REQUEST_ID, DS)
FRAME_COLUMNS = (
    EVENT_ID, USER_ID, ITEM_ID, EVENT_TIME, DS, CLICKED, ORDERED, USER_ROW, ITEM_ROW, "hour_of_day", "day_of_week",
    "history_rows", ONLINE_DAYS, EXPOSURE_7D, CLICK_7D, MATURITY_TICK, "repeat_count", "repeat_age_days", SERVED)

Join = Callable[[pd.DataFrame], pd.DataFrame]


def in_sample(share: float) -> F.Column:
    """Whether a user's day is in the sample: a property of user and day, whatever else is in the log."""
    return F.pmod(F.xxhash64(USER_ID, DS), F.lit(HASH_STEPS)) < round(share * HASH_STEPS)


def known_events(run: Run) -> DataFrame:
    """The impressions that compete for a response, and every take that a history can hold; columns EVENT_COLUMNS.

    Takes long before `from` come from one partition of `user_history`, which is as old as any impression of the range can
    be late; where there is none, from the log's beginning.
    """
    log = in_milliseconds(run.read(TABLE_EVENTS, NEEDED))
    base = run.first - HORIZON - timedelta(days=1)
    recent = first_sightings(lake.between(log, run.first - HORIZON, run.as_of)).select(*EVENT_COLUMNS)
    earlier = None
    if run.has(TABLE_USER_HISTORY):
        earlier = earlier_takes(run.read(TABLE_USER_HISTORY, COLUMNS), base)
        earlier = None if earlier.isEmpty() else earlier
    run.facts["history_from"] = base.isoformat() if earlier is not None else "events"
    if earlier is None:
        before = lake.between(log, date.min, run.first - HORIZON).where(F.col(EVENT_TYPE).isin(CLICK, ORDER))
        return recent.union(first_sightings(before).select(*EVENT_COLUMNS))
    marked = earlier.withColumns({EVENT_TYPE: F.lit(EARLIER_TAKE), REQUEST_ID: F.lit(None).cast("string")})
    shown = recent.where(F.col(EVENT_TYPE) == IMPRESSION)
    taken_again = recent.where(F.col(EVENT_TYPE) != IMPRESSION).join(marked.select(EVENT_ID), EVENT_ID, "left_anti")
    return shown.union(taken_again.select(*EVENT_COLUMNS)).union(marked.select(*EVENT_COLUMNS))


def described(events: DataFrame, item_index: DataFrame, user_index: DataFrame, items: DataFrame) -> DataFrame:
    """Events with the rows of their user and item and the item's publication."""
    published = items.select(ITEM_ID, F.unix_millis("published_at").alias(PUBLISHED_MS))
    item_rows = item_index.select(ITEM_ID, F.col("row").alias(ITEM_ROW))
    user_rows = user_index.select(USER_ID, F.col("row").alias(USER_ROW))
    joined = events.join(item_rows, ITEM_ID, "left").join(published, ITEM_ID, "left").join(user_rows, USER_ID, "left")
    return joined.fillna(OOV_ROW, [ITEM_ROW, USER_ROW])


def frame_rows(events: DataFrame, first: date, share: float, buckets: int = 8) -> DataFrame:
    """The training rows of the days from `first` on, without maturity (frame_rows.ROW_SCHEMA)."""
    wanted = (F.col(EVENT_TYPE) == IMPRESSION) & (F.col(DS) >= first.isoformat()) & in_sample(share)
    bucket = F.pmod(F.xxhash64(USER_ID), F.lit(buckets))
    marked = events.withColumns({WANTED: wanted, "bucket": bucket})
    return marked.groupBy("bucket").applyInArrow(bucket_rows, ROW_SCHEMA)


def refuse_lost(shown: DataFrame, rows: DataFrame) -> None:
    """Raises DataError: the rows are not the impressions of the log, each once. shown: event_id, distinct."""
    came, left, lost = shown.count(), rows.count(), shown.join(rows, EVENT_ID, "left_anti").count()
    if lost or came != left:
        raise DataError(f"{came:,} impressions were to become training rows, {left:,} rows came of them and {lost:,} event ids "
                        "are in none: nothing was written; look for ids that stand twice in item_index, user_index or items")


def sampled_impressions(run: Run, share: float) -> DataFrame:
    """event_id of the impressions that the frame must hold: those of the log, whatever is joined to them later."""
    log = in_milliseconds(lake.between(run.read(TABLE_EVENTS, NEEDED), run.first - HORIZON, run.as_of))
    wanted = (F.col(EVENT_TYPE) == IMPRESSION) & (F.col(DS) >= run.first.isoformat()) & in_sample(share)
    return first_sightings(log).where(wanted).select(EVENT_ID).distinct()


def maturity_by_feast(frame: DataFrame, join: Join, scratch: Path) -> DataFrame:
    """event_id, exposure_7d, click_7d, tick (null: nothing was published yet), through one pandas frame.

    `join` answers one of event_id, item_id, event_time. Raises DataError: it lost or doubled a row.
    """
    asked = frame.select(EVENT_ID, ITEM_ID, F.timestamp_millis(EVENT_MS).alias(EVENT_TIME)).toPandas()
    asked[EVENT_TIME] = asked[EVENT_TIME].dt.tz_localize("UTC")
    found = join(asked)
    if len(found) != len(asked) or set(found[EVENT_ID]) != set(asked[EVENT_ID]):
        raise DataError(f"the point-in-time join answered {len(found)} rows for {len(asked)} impressions, or others than were "
                        "asked for: nothing was written; compare features/retrieval.py with its offline store")
    counts = {name: found[name].fillna(0).astype("int64") for name in (EXPOSURE_7D, CLICK_7D)}
    answer = pd.DataFrame({EVENT_ID: found[EVENT_ID], **counts, TICK: pd.to_datetime(found[TICK], utc=True)})
    scratch.mkdir(parents=True, exist_ok=True)
    answer.to_parquet(scratch / "maturity.parquet", index=False, coerce_timestamps="us")
    return frame.sparkSession.read.parquet(str(scratch / "maturity.parquet"))


def with_maturity(frame: DataFrame, maturity: DataFrame) -> DataFrame:
    """The frame with exposure_7d, click_7d (0 where nothing was published yet), maturity_tick (null there) and event_time."""
    joined = frame.join(maturity.withColumnRenamed(TICK, MATURITY_TICK), EVENT_ID, "left")
    return joined.fillna(0, [EXPOSURE_7D, CLICK_7D]).withColumn(EVENT_TIME, F.timestamp_millis(EVENT_MS))


def work(run: Run, arguments: argparse.Namespace) -> str:
    share = run.settings.training.user_day_share if arguments.user_day_share is None else arguments.user_day_share
    if not 0 < share <= 1:
        raise ConfigError(f"--user-day-share must be in (0, 1], got {share}")
    run.read(TABLE_MATURITY_REBUILT)
    items, item_index = current_items(run.read(TABLE_ITEMS, CATALOGUE_COLUMNS), run.as_of), run.read(TABLE_ITEM_INDEX)
    events = described(known_events(run), item_index, run.read(TABLE_USER_INDEX), items)
    buckets = BUCKETS_PER_TASK * run.settings.spark.shuffle_partitions
    rows = frame_rows(events, run.first, share, buckets).persist()
    scratch = run.layout.home / "tmp" / f"training_frame-{run.as_of}"
    try:
        record(run, rows, share)
        refuse_lost(sampled_impressions(run, share), rows)
        frame = with_maturity(rows, maturity(run, rows, scratch, buckets))
        served = logged(run, item_index)
        frame = frame.withColumn(SERVED, F.lit(False)) if served is None else as_served(frame, served)
        version = run.replace_days(frame.select(*FRAME_COLUMNS), TABLE_TRAINING_FRAME, (EVENT_TIME, EVENT_ID))
        run.facts["served"] = run.read_back(TABLE_TRAINING_FRAME).where(SERVED).count()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        rows.unpersist()
    return f"{TABLE_TRAINING_FRAME}@{version}"


def maturity(run: Run, rows: DataFrame, scratch: Path, buckets: int) -> DataFrame:
    """The point-in-time join over the version of the rebuild that this run pinned."""
    if run.settings.feast.offline_store == "spark":
        published = run.read(TABLE_MATURITY_REBUILT)
        found = newest_readable(rows, published, buckets)
        return found.select(EVENT_ID, EXPOSURE_7D, CLICK_7D, F.timestamp_millis("tick_ms").alias(TICK))
    config, version = config_from(run.settings), run.reads[TABLE_MATURITY_REBUILT]
    return maturity_by_feast(rows, lambda asked: historical_maturity(config, asked, version=version), scratch)


def logged(run: Run, item_index: DataFrame) -> DataFrame | None:
    """What requests of the days, and of the evening before, were served; None: no request was ever logged."""
    if not run.has(TABLE_SERVED_FEATURES):
        return None
    return served_rows(lake.between(run.read(TABLE_SERVED_FEATURES), run.first - timedelta(days=1), run.as_of), item_index)


def record(run: Run, rows: DataFrame, share: float) -> None:
    """Counts of the run, before it writes."""
    log = lake.between(run.read(TABLE_EVENTS), run.first, run.as_of).where(F.col(EVENT_TYPE) == IMPRESSION)
    run.rows["in"] = log.count()
    total, clicked, ordered, no_item, no_user = rows.select(
        F.count(F.lit(1)), F.sum(CLICKED), F.sum(ORDERED), F.count_if(F.col(ITEM_ROW) == OOV_ROW),
        F.count_if(F.col(USER_ROW) == OOV_ROW)).first()
    run.reject("user-day not sampled or repeated id", run.rows["in"] - total)
    run.facts |= {"user_day_share": share, "clicked": clicked or 0, "ordered": ordered or 0, "item_not_in_index": no_item,
                  "user_not_in_index": no_user}
    if no_item or no_user:
        run.log(f"{no_item:,} rows of items and {no_user:,} of users in no index take row {OOV_ROW}: run entity_index first")


def options() -> argparse.ArgumentParser:
    parser = job_parser("spark_jobs.training_frame", __doc__)
    parser.add_argument("--user-day-share", type=float, metavar="S", help="in (0, 1]; default: settings, [training]")
    return parser


def main(argv: list[str] | None = None) -> int:
    return run_job("training_frame", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
