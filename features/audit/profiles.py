"""Served days online against the catalogue as it was known when the store was read.

A record of the catalogue reaches the store a moment after its ingest time, so for `late_after_ms` the row before it counts too;
and a row that was read before it was due is no fault.
"""

from typing import TYPE_CHECKING

from features.audit.verdict import DEFAULT, LATE, VALUE, Verdict, judged
from features.clock import MS_PER_DAY
from features.names import ONLINE_DAYS
from features.spec import INPUTS_BY_NAME

if TYPE_CHECKING:
    import duckdb

UNKNOWN = INPUTS_BY_NAME["item_stats"].default
DAYS = f"CASE WHEN at_ms >= {{published}} THEN (at_ms - {{published}}) // {MS_PER_DAY} ELSE -1 END"
JOINED = f"""
CREATE TEMP TABLE ages AS
WITH known AS (
    SELECT item_id, epoch_ms(ingest_time) AS ingest_ms, epoch_ms(arg_max(published_at, "offset")) AS published_ms
    FROM items WHERE item_id IN (SELECT DISTINCT item_id FROM candidates) GROUP BY item_id, ingest_time),
records AS (
    SELECT *, lag(published_ms) OVER past AS before_ms, lead(published_ms) OVER past AS next_ms FROM known
    WINDOW past AS (PARTITION BY item_id ORDER BY ingest_ms)),
first AS (SELECT item_id, arg_min(published_ms, ingest_ms) AS first_ms FROM known GROUP BY item_id)
SELECT request_id, served.item_id AS key, served_ms, served.online_days AS served,
       contains(defaults, 'item_stats:no_published_at') AS missing, served_ms - record.ingest_ms AS known_for_ms,
       {DAYS.format(published="record.published_ms")} AS newest, {DAYS.format(published="record.before_ms")} AS earlier,
       {DAYS.format(published="coalesce(record.next_ms, first.first_ms)")} AS later, record.before_ms, first.first_ms,
       record.published_ms
FROM candidates served LEFT JOIN first ON first.item_id = served.item_id
ASOF LEFT JOIN records record ON record.item_id = served.item_id AND served.served_ms >= record.ingest_ms
"""
JUDGED = f"""
CREATE TEMP VIEW judged_ages AS
SELECT request_id, key, served_ms, served, offline, abs(served - offline) AS difference, CASE
    WHEN missing THEN CASE WHEN served <> {UNKNOWN} OR known_for_ms > {{late_after_ms}} THEN '{DEFAULT}' END
    WHEN served = newest AND published_ms IS NOT NULL OR served = later AND first_ms IS NOT NULL THEN NULL
    WHEN served = earlier AND before_ms IS NOT NULL THEN CASE WHEN known_for_ms > {{late_after_ms}} THEN '{LATE}' END
    ELSE '{VALUE}' END AS cause
FROM (SELECT *, CAST(CASE WHEN published_ms IS NULL THEN {UNKNOWN} ELSE newest END AS FLOAT) AS offline FROM ages)
"""


def judge_profiles(connection: "duckdb.DuckDBPyConnection", late_after_ms: int) -> list[Verdict]:
    connection.execute(JOINED)
    connection.execute(JUDGED.format(late_after_ms=late_after_ms))
    return [judged(connection, ONLINE_DAYS, "judged_ages")]
