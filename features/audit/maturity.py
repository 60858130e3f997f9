"""Served counts against the rebuilt row of the tick that was served.

    named     the rebuilt row of the item at the served tick
    newest    the rebuilt row that was the newest readable one when the store was read
    late_ms   for how long the row after the named one had been readable then

A value that its named row has is equal, however old: its age is judged apart, as freshness. Without a row, and where the
reader judged the row too old to be true, the stated default is 0 and there must have been nothing else to serve.
"""

from typing import TYPE_CHECKING

from features.audit.verdict import DEFAULT, LATE, VALUE, VERSION, Freshness, Verdict, freshness, judged
from features.names import CLICK_7D, EXPOSURE_7D
from features.windows import AVAILABILITY_DELAY_MS

if TYPE_CHECKING:
    import duckdb

PUBLISHED = """
CREATE TEMP TABLE published AS
SELECT item_id, epoch_ms(tick) AS tick_ms, exposure_7d, click_7d, lag(exposure_7d, 1, 0) OVER past AS exposure_before,
       lag(click_7d, 1, 0) OVER past AS click_before, lead(epoch_ms(tick)) OVER past AS next_ms,
       min(epoch_ms(tick)) OVER (PARTITION BY item_id) AS first_ms
FROM item_maturity_rebuilt WHERE item_id IN (SELECT DISTINCT item_id FROM candidates)
WINDOW past AS (PARTITION BY item_id ORDER BY tick)
"""
JOINED = f"""
CREATE TEMP TABLE counts AS
SELECT served.*, served.item_id AS key, served.tick_ms >= 0 AS has_row,
       contains(served.defaults, 'item_stats:stale_maturity') AS stale,
       named.exposure_7d AS named_exposure, named.click_7d AS named_click, named.exposure_before, named.click_before,
       coalesce(newest.exposure_7d, 0) AS newest_exposure, coalesce(newest.click_7d, 0) AS newest_click,
       greatest(0, served.served_ms - {AVAILABILITY_DELAY_MS}
                   - CASE WHEN served.tick_ms >= 0 THEN named.next_ms ELSE newest.first_ms END) AS late_ms
FROM candidates served
LEFT JOIN published named ON named.item_id = served.item_id AND named.tick_ms = served.tick_ms
ASOF LEFT JOIN published newest ON newest.item_id = served.item_id
                               AND served.served_ms - {AVAILABILITY_DELAY_MS} >= newest.tick_ms
"""
JUDGED = """
CREATE TEMP VIEW judged_{name} AS
SELECT *, abs(served - offline) AS difference, CASE
    WHEN stale THEN CASE WHEN served <> offline THEN '{default}' END
    WHEN NOT has_row THEN CASE WHEN served <> 0 OR (late_ms > {late_after_ms} AND served <> offline) THEN '{default}' END
    WHEN offline IS NULL THEN '{version}'
    WHEN served = offline THEN NULL
    WHEN exposure_7d = exposure_before AND click_7d = click_before THEN '{late}'
    WHEN exposure_7d = 0 AND click_7d = 0 THEN '{default}'
    ELSE '{value}' END AS cause
FROM (SELECT *, {name}_7d AS served,
             CAST(CASE WHEN has_row AND NOT stale THEN named_{name} ELSE newest_{name} END AS FLOAT) AS offline FROM counts)
"""


def judge_maturity(connection: "duckdb.DuckDBPyConnection", late_after_ms: int) -> tuple[list[Verdict], Freshness]:
    """Leaves the views judged_exposure and judged_click."""
    connection.execute(PUBLISHED)
    connection.execute(JOINED)
    for name in ("exposure", "click"):
        connection.execute(JUDGED.format(name=name, late_after_ms=late_after_ms, default=DEFAULT, version=VERSION, late=LATE,
                                         value=VALUE))
    verdicts = [judged(connection, EXPOSURE_7D, "judged_exposure"), judged(connection, CLICK_7D, "judged_click")]
    return verdicts, freshness(connection, "item maturity", "(SELECT *, coalesce(late_ms, 0) AS late_ms FROM counts)",
                               late_after_ms)
