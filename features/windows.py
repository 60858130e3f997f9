"""The trailing seven days, defined once for stream, batch and tests (DESIGN: maturity; readings R26, R27).

    value(item, T) = distinct events with ingest_time < T and floor_hour(T) - 168 h <= event_time < T

An event is therefore counted from one tick to another, and both are functions of the event alone:

    enter = first tick after both its event_time and its ingest_time
    leave = floor_hour(event_time) + 169 h           (its hour falls out of the window)

A row is published at T exactly when the item's pair (exposure_7d, click_7d) differs from its last published pair.
Everything here is pure and vectorised; times are int64 milliseconds since the epoch, UTC.
"""

import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000
WINDOW_HOURS = 168
WINDOW_MS = WINDOW_HOURS * HOUR_MS
PUBLISH_INTERVAL_MS = 10_000
MAX_FUTURE_MS = 5 * 60_000
AVAILABILITY_DELAY_MS = 2_000
# An id is remembered this long after its last sighting. An event enters at most MAX_FUTURE_MS before its time and leaves
# at most 169 h after it, so a repeat that comes later still would count at no tick.
DEDUPE_HORIZON_MS = MAX_FUTURE_MS + WINDOW_MS + HOUR_MS

Int64 = NDArray[np.int64]


def check_interval(interval_ms: int) -> int:
    """Ticks must fall on hour boundaries, or an hour would leave the window between two of them."""
    if interval_ms <= 0 or HOUR_MS % interval_ms:
        raise ValueError(f"publish_interval_ms must divide an hour ({HOUR_MS} ms), got {interval_ms}")
    return interval_ms


def floor_hour(time_ms: Int64) -> Int64:
    return time_ms - time_ms % HOUR_MS


def enter_tick(event_ms: Int64, ingest_ms: Int64, interval_ms: int = PUBLISH_INTERVAL_MS) -> Int64:
    """First tick at which an event counts: the first multiple of the interval after both of its times."""
    return (np.maximum(event_ms, ingest_ms) // interval_ms + 1) * interval_ms


def leave_tick(event_ms: Int64) -> Int64:
    """First tick at which an event no longer counts, 169 h after its hour began."""
    return floor_hour(event_ms) + (WINDOW_HOURS + 1) * HOUR_MS


def complete_tick(ingest_ms: int, interval_ms: int = PUBLISH_INTERVAL_MS) -> int:
    """The last tick T that a record with this ingest_time completes (T <= ingest_time)."""
    return ingest_ms - ingest_ms % interval_ms


def published_rows(
    item: Int64, is_click: NDArray[np.bool_], event_ms: Int64, ingest_ms: Int64,
    interval_ms: int = PUBLISH_INTERVAL_MS, until_ms: int | None = None,
) -> tuple[Int64, Int64, Int64, Int64]:
    """Every row ever published for these events: the rebuild, and the truth the stream is checked against.

    Args:
      item: int64[E] dense item numbers.
      is_click: bool[E] True for a click, False for an impression (other types must be left out).
      event_ms, ingest_ms: int64[E]; `ingest_ms` as DESIGN defines it (running maximum over the partition).
      until_ms: last tick to publish, inclusive; None for no end.
    Returns:
      (item, tick_ms, exposure_7d, click_7d), int64[R] each, ordered by item and tick.
    Events must already be distinct by event_id (the first ingested wins, R27).
    """
    check_interval(interval_ms)
    enter, leave = enter_tick(event_ms, ingest_ms, interval_ms), leave_tick(event_ms)
    counted = enter < leave
    item, is_click, enter, leave = item[counted], is_click[counted], enter[counted], leave[counted]
    items = np.concatenate([item, item])
    ticks = np.concatenate([enter, leave])
    signs = np.concatenate([np.ones_like(enter), -np.ones_like(leave)])
    clicks = np.concatenate([is_click, is_click]) * signs
    if until_ms is not None:
        kept = ticks <= until_ms
        items, ticks, signs, clicks = items[kept], ticks[kept], signs[kept], clicks[kept]
    if not len(items):
        empty = np.empty(0, np.int64)
        return empty, empty, empty, empty
    order = np.lexsort((ticks, items))
    items, ticks, clicks, exposures = items[order], ticks[order], clicks[order], (signs - clicks)[order]
    first = np.flatnonzero(np.r_[True, (items[1:] != items[:-1]) | (ticks[1:] != ticks[:-1])])
    items, ticks = items[first], ticks[first]
    exposure_change, click_change = np.add.reduceat(exposures, first), np.add.reduceat(clicks, first)
    # A change of the pair is exactly a row; the values are the running sums within the item (which start and end at 0
    # or are cut by until_ms, so the sum before an item's first row is subtracted).
    exposure, click = np.cumsum(exposure_change), np.cumsum(click_change)
    starts = np.flatnonzero(np.r_[True, items[1:] != items[:-1]])
    lengths = np.diff(np.r_[starts, len(items)])
    exposure -= np.repeat(exposure[starts] - exposure_change[starts], lengths)
    click -= np.repeat(click[starts] - click_change[starts], lengths)
    changed = (exposure_change != 0) | (click_change != 0)
    return items[changed], ticks[changed], exposure[changed], click[changed]
