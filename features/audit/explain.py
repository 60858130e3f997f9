"""Counts that differ: of which other window are they? Each reading is tried from the raw events on some of the rows.

Looked at where there are rows of cause `value`; then also those that are called late because the row before happens to agree.
"""

from typing import TYPE_CHECKING

from features.audit.tables import one_row
from features.audit.verdict import LATE, VALUE, Verdict
from features.windows import DEDUPE_HORIZON_MS, HOUR_MS, PUBLISH_INTERVAL_MS, WINDOW_MS

if TYPE_CHECKING:
    import duckdb

ROWS = 200  # looked at, of one feature
TOLD_FROM = 0.5  # a reading that fits fewer of them explains nothing

WINDOW_START = f"tick_ms - tick_ms % {HOUR_MS} - {WINDOW_MS}"
ONCE = "NOT repeated"
# What is counted at a tick, by what one would say of it. The first is the definition (features/windows.py).
READINGS = {
    "the stated window: the rebuilt rows are wrong, run spark_jobs.item_stats again":
        f"{ONCE} AND ingest_ms < tick_ms AND event_ms < tick_ms AND event_ms >= {WINDOW_START}",
    "a window one hour shorter":
        f"{ONCE} AND ingest_ms < tick_ms AND event_ms < tick_ms AND event_ms >= {WINDOW_START} + {HOUR_MS}",
    "a window one hour longer":
        f"{ONCE} AND ingest_ms < tick_ms AND event_ms < tick_ms AND event_ms >= {WINDOW_START} - {HOUR_MS}",
    "a window that begins 168 h before the tick itself, not before its hour":
        f"{ONCE} AND ingest_ms < tick_ms AND event_ms < tick_ms AND event_ms >= tick_ms - {WINDOW_MS}",
    "a window that holds its own tick":
        f"{ONCE} AND ingest_ms <= tick_ms AND event_ms <= tick_ms AND event_ms >= {WINDOW_START}",
    "the tick before":
        f"{ONCE} AND ingest_ms < tick_ms - {PUBLISH_INTERVAL_MS} AND event_ms < tick_ms - {PUBLISH_INTERVAL_MS} "
        f"AND event_ms >= {WINDOW_START}",
    "the tick after":
        f"{ONCE} AND ingest_ms < tick_ms + {PUBLISH_INTERVAL_MS} AND event_ms < tick_ms + {PUBLISH_INTERVAL_MS} "
        f"AND event_ms >= {WINDOW_START}",
    "event time alone: late events as if they had been known":
        f"{ONCE} AND event_ms < tick_ms AND event_ms >= {WINDOW_START}",
    "repeated event ids counted again":
        f"ingest_ms < tick_ms AND event_ms < tick_ms AND event_ms >= {WINDOW_START}",
}
LOOKED_AT = f"""
CREATE OR REPLACE TEMP TABLE odd AS
SELECT DISTINCT item_id, tick_ms, served FROM {{view}} WHERE cause IN ('{VALUE}', '{LATE}')
ORDER BY tick_ms, item_id LIMIT {ROWS}
"""
RAW = f"""
CREATE OR REPLACE TEMP TABLE raw AS
SELECT item_id, event_ms, ingest_ms, coalesce(ingest_ms - seen_before_ms <= {DEDUPE_HORIZON_MS}, false) AS repeated
FROM (SELECT item_id, event_type, epoch_ms(event_time) AS event_ms, epoch_ms(ingest_time) AS ingest_ms,
             lag(epoch_ms(ingest_time)) OVER seen AS seen_before_ms
      FROM events
      WHERE event_id IN (SELECT event_id FROM events WHERE item_id IN (SELECT item_id FROM odd))
      WINDOW seen AS (PARTITION BY event_id ORDER BY ingest_time, "partition", "offset"))
WHERE event_type = $kind AND item_id IN (SELECT item_id FROM odd)
"""
COUNTS = ", ".join(f"count(*) FILTER ({counted}) AS reading_{n}" for n, counted in enumerate(READINGS.values()))
FITS = ", ".join(f"count(*) FILTER (served = reading_{n})" for n in range(len(READINGS)))
FITTING = f"""
SELECT count(*), {FITS} FROM (
    SELECT item_id, tick_ms, any_value(served) AS served, {COUNTS}
    FROM odd LEFT JOIN raw USING (item_id) GROUP BY item_id, tick_ms)
"""


def explain(connection: "duckdb.DuckDBPyConnection", verdicts: list[Verdict]) -> None:
    """Note on each verdict of a count which reading its rows follow, the best one, if it fits half of them."""
    for verdict, view, kind in zip(verdicts, ("judged_exposure", "judged_click"), ("impression", "click"), strict=True):
        if VALUE not in verdict.causes:
            continue
        connection.execute(LOOKED_AT.format(view=view))
        connection.execute(RAW, {"kind": kind})
        looked_at, *fitting = one_row(connection, FITTING)
        best = max(range(len(READINGS)), key=lambda n: fitting[n])
        if fitting[best] >= TOLD_FROM * looked_at:
            verdict.notes.append(
                f"{fitting[best]:,} of {looked_at:,} differing rows looked at are counts of {list(READINGS)[best]}")
