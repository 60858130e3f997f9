"""The event log as jobs read it: the days asked for, times in milliseconds, each event_id once."""

from datetime import timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.clock import MS_PER_DAY
from features.names import EVENT_ID, EVENT_TIME, EVENT_TYPE, INGEST_TIME, ITEM_ID, REQUEST_ID, USER_ID
from features.windows import DEDUPE_HORIZON_MS

EVENT_MS = "event_ms"
INGEST_MS = "ingest_ms"
# The order of ingestion. Within a partition it is the log's; across partitions it is a rule, the same for everyone.
INGEST_ORDER = (INGEST_MS, "partition", "offset")
# In whole days: what makes an event a repeat, and what an event is late by, lies at most so far back.
HORIZON = timedelta(days=-(-DEDUPE_HORIZON_MS // MS_PER_DAY))
NEEDED = (EVENT_ID, EVENT_TYPE, USER_ID, ITEM_ID, EVENT_TIME, REQUEST_ID, INGEST_TIME, "partition", "offset", "ds")


def in_milliseconds(events: DataFrame) -> DataFrame:
    """`event_time` and `ingest_time` as int64 milliseconds."""
    return events.select(
        EVENT_ID, EVENT_TYPE, USER_ID, ITEM_ID, REQUEST_ID, F.unix_millis(EVENT_TIME).alias(EVENT_MS),
        F.unix_millis(INGEST_TIME).alias(INGEST_MS), "partition", "offset", "ds")


def first_sightings(events: DataFrame, horizon_ms: int = DEDUPE_HORIZON_MS) -> DataFrame:
    """Each event_id once: the first ingested wins (R27).

    A record is a repeat when its id was seen within `horizon_ms` before it, which is all that the stream remembers.
    Ordering every id costs five times what finding the few repeated ones does, so only those are ordered.
    """
    hashed = events.withColumn("id_hash", F.xxhash64(EVENT_ID))
    repeated = hashed.groupBy("id_hash").count().where("count > 1").select("id_hash").persist()
    if repeated.isEmpty():
        return events
    before = F.lag(INGEST_MS).over(Window.partitionBy(EVENT_ID).orderBy(*INGEST_ORDER))
    suspects = hashed.join(repeated, "id_hash", "left_semi").withColumn("seen_before_ms", before)
    first = suspects.where(
        F.col("seen_before_ms").isNull() | (F.col(INGEST_MS) - F.col("seen_before_ms") > horizon_ms))
    single = hashed.join(repeated, "id_hash", "left_anti")
    return single.select(*events.columns).union(first.select(*events.columns))


def day_of(milliseconds: str) -> Column:
    """The UTC day of a column of milliseconds, as `ds` has it."""
    return F.date_from_unix_date((F.col(milliseconds) / MS_PER_DAY).cast("int")).cast("string")
