"""The point-in-time join on Spark: for each question the newest row that was readable, a bucket of items at a time.

Feast's own Spark store pairs every row of an item with every question about it and keeps the newest, so its work grows with the
product of the two (ADR-0003). Here both sides of a bucket meet in one sorted pass; a parity test holds it to Feast's answers.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.names import CLICK_7D, EVENT_ID, EXPOSURE_7D, ITEM_ID, TICK
from features.windows import AVAILABILITY_DELAY_MS
from spark_jobs.event_log import EVENT_MS
from spark_jobs.labels import newest_before

TICK_MS = "tick_ms"
BUCKET = "bucket"
SCHEMA = f"{EVENT_ID} string, {EXPOSURE_7D} long, {CLICK_7D} long, {TICK_MS} long"


def newest_readable(
    asked: DataFrame, rows: DataFrame, buckets: int, availability_delay_ms: int = AVAILABILITY_DELAY_MS,
) -> DataFrame:
    """event_id, exposure_7d, click_7d, tick_ms: one row for each one asked; the last three null where none was readable.

    Args:
      asked: event_id, item_id, event_ms.
      rows: item_id, tick, exposure_7d, click_7d; an item has one row a tick.
      availability_delay_ms: the row of tick T counts as readable from T + delay on.
    """
    bucket = F.pmod(F.xxhash64(ITEM_ID), F.lit(buckets)).alias(BUCKET)
    left = asked.select(EVENT_ID, ITEM_ID, EVENT_MS, bucket).groupBy(BUCKET)
    right = rows.select(ITEM_ID, F.unix_millis(TICK).alias(TICK_MS), EXPOSURE_7D, CLICK_7D, bucket).groupBy(BUCKET)
    return left.cogroup(right).applyInArrow(bucket_join(availability_delay_ms), SCHEMA)


def bucket_join(delay_ms: int) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def join(asked: pa.Table, rows: pa.Table) -> pa.Table:
        items = pa.chunked_array([*rows[ITEM_ID].chunks, *asked[ITEM_ID].chunks], pa.string()).combine_chunks()
        item = items.dictionary_encode().indices.to_numpy().astype(np.int64)
        order = np.argsort(rows[TICK_MS].to_numpy(), kind="stable")
        rows = rows.take(pa.array(order))
        found = newest_before(item[:len(rows)][order], rows[TICK_MS].to_numpy(), item[len(rows):],
                              asked[EVENT_MS].to_numpy() - delay_ms)
        place = pc.if_else(pa.array(found >= 0), pa.array(found), None)
        answers = {name: rows[name].take(place) for name in (EXPOSURE_7D, CLICK_7D, TICK_MS)}
        return pa.table({EVENT_ID: asked[EVENT_ID], **answers})
    return join
