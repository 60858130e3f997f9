"""What was known of one user's takes at the moment of each impression: history rows and repeat features.

Known at t are the takes with ingest_time + AVAILABILITY_DELAY_MS <= t, as online: publication takes a moment. Of the newest of
them those before t count: a producer's clock may be ahead of ours. The features themselves are features/history.py's, which
serving calls too.
"""

import numpy as np
from numpy.typing import NDArray

from features.history import HISTORY_KEPT, last_distinct, repeat_features
from features.spec import HISTORY_LENGTH, PADDING_ROW
from features.windows import AVAILABILITY_DELAY_MS

Int64 = NDArray[np.int64]
ALWAYS_MS = np.iinfo(np.int64).min // 2  # ingest time of a take that was known before every impression asked about


def known_features(
    taken: Int64, taken_ms: Int64, ingest_ms: Int64, candidate: Int64, at_ms: Int64, item_rows: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Features of one user's impressions.

    Args:
      taken, taken_ms, ingest_ms: int64[T] item numbers and times of the user's takes, ordered by (event time, event id).
      candidate, at_ms: int64[C] the impressions' items and times.
      item_rows: int32[items] the item index's row of each item number.
    Returns:
      history_rows int32[C, 50], newest first, 0 = padding; repeat_count, repeat_age_days float32[C].
    """
    history = np.full((len(candidate), HISTORY_LENGTH), PADDING_ROW, np.int32)
    count, age = np.zeros(len(candidate), np.float32), np.full(len(candidate), -1, np.float32)
    known_from = ingest_ms + AVAILABILITY_DELAY_MS
    by_knowledge = np.sort(known_from)
    order = np.argsort(at_ms, kind="stable")
    moments, starts = np.unique(at_ms[order], return_index=True)
    known_counts = np.searchsorted(by_knowledge, moments, side="right")
    last, rows, newest = (-1, -1), item_rows[:0], np.empty(0, np.int64)
    for moment, known, of_moment in zip(moments, known_counts, np.split(order, starts[1:]), strict=True):
        if not known:
            continue
        if known != last[0]:  # knowledge changes with a take, not with an impression
            newest = np.flatnonzero(known_from <= moment)[-HISTORY_KEPT:]
        before = newest[:np.searchsorted(taken_ms[newest], moment)]
        if (known, len(before)) != last:
            rows, last = item_rows[last_distinct(taken[before])], (known, len(before))
        history[of_moment, :len(rows)] = rows
        count[of_moment], age[of_moment] = repeat_features(taken[before], taken_ms[before], candidate[of_moment], int(moment))
    return history, count, age
