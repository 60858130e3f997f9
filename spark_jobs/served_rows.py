"""Training rows of impressions whose request was logged: what the model was given then, not what a join says it was.

A request is found by its id, user and item, and must have been served before the impression. Rows of the indexes stay those of
training: they grow with it, and an item that the serving model had no row for yet is learnt about here.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.names import CLICK_7D, EVENT_TIME, EXPOSURE_7D, ITEM_ID, ONLINE_DAYS, REQUEST_ID, USER_ID
from features.served_features import AT, DEFAULTS, ITEM_IDS, REPEAT_AGE_DAYS, REPEAT_COUNT, SERVED_AT, TICKS_MS
from features.spec import OOV_ROW

SERVED = "served"
MATURITY_TICK = "maturity_tick"
KEY = (REQUEST_ID, USER_ID, ITEM_ID)
REQUEST = (REQUEST_ID, USER_ID, SERVED_AT)
HISTORY = "history_item_ids"
LISTS = (ITEM_IDS, ONLINE_DAYS, EXPOSURE_7D, CLICK_7D, TICKS_MS, REPEAT_COUNT, REPEAT_AGE_DAYS, DEFAULTS)
VALUES = ("hour_of_day", "day_of_week", "history_rows", ONLINE_DAYS, EXPOSURE_7D, CLICK_7D, MATURITY_TICK, REPEAT_COUNT,
          REPEAT_AGE_DAYS)
STALE = "item_stats:stale_maturity"


def served_rows(served: DataFrame, item_index: DataFrame) -> DataFrame:
    """Of `served_features`: KEY, served_at and VALUES, one row for each candidate of each request."""
    requests, one = served.dropDuplicates(list(REQUEST)), F.col("one")
    tick = F.when((one[TICKS_MS] >= 0) & ~one[DEFAULTS].contains(STALE), F.timestamp_millis(one[TICKS_MS]))
    candidates = requests.select(*REQUEST, AT, F.explode(F.arrays_zip(*LISTS)).alias("one"))
    return candidates.join(history_rows(requests, item_index), list(REQUEST), "left").select(
        REQUEST_ID, USER_ID, one[ITEM_IDS].alias(ITEM_ID), SERVED_AT, F.hour(AT).alias("hour_of_day"),
        F.weekday(AT).alias("day_of_week"), F.coalesce("history_rows", F.array().cast("array<int>")).alias("history_rows"),
        *(one[name].cast("long").alias(name) for name in (ONLINE_DAYS, EXPOSURE_7D, CLICK_7D)), tick.alias(MATURITY_TICK),
        *(one[name].alias(name) for name in (REPEAT_COUNT, REPEAT_AGE_DAYS)))


def history_rows(requests: DataFrame, item_index: DataFrame) -> DataFrame:
    """REQUEST, history_rows: the index's rows of the history served, in its order."""
    listed = requests.select(*REQUEST, F.posexplode(HISTORY).alias("place", ITEM_ID))
    known = listed.join(item_index.select(ITEM_ID, "row"), ITEM_ID, "left").fillna(OOV_ROW, ["row"])
    in_order = F.array_sort(F.collect_list(F.struct("place", "row")))
    return known.groupBy(*REQUEST).agg(in_order.getField("row").alias("history_rows"))


def as_served(frame: DataFrame, served: DataFrame) -> DataFrame:
    """The frame, with a column `served`: whether VALUES are those of the logged request, the last one before the impression.

    Every row of the frame is kept, once.
    """
    given = served.select(*KEY, SERVED_AT, F.struct(*VALUES).alias("given"))
    matched = frame.where(F.col(REQUEST_ID).isNotNull()).select("event_id", EVENT_TIME, *KEY).join(given, list(KEY))
    last = Window.partitionBy("event_id").orderBy(F.col(SERVED_AT).desc())
    chosen = matched.where(F.col(SERVED_AT) <= F.col(EVENT_TIME)).withColumn("place", F.row_number().over(last))
    joined = frame.join(chosen.where("place = 1").select("event_id", "given"), "event_id", "left")
    was = F.col("given").isNotNull()
    values = {name: F.when(was, F.col("given")[name]).otherwise(F.col(name)) for name in VALUES}
    return joined.withColumns({SERVED: was, **values})
