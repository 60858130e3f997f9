"""What a user took before: the last distinct items and the repeat features, in one code for training and serving.

A take is a click or an order. `takes` are the newest HISTORY_KEPT of them, ordered by (time, event_id) ascending; who
calls this has already cut them to what was known at the moment asked about.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.clock import MS_PER_DAY
from features.spec import HISTORY_KEPT, HISTORY_LENGTH

Item = TypeVar("Item", bound=np.generic)

__all__ = ["HISTORY_KEPT", "last_distinct", "repeat_features"]


def last_distinct(item_ids: NDArray[Item], length: int = HISTORY_LENGTH) -> NDArray[Item]:
    """The last `length` distinct items, newest first. `item_ids`: [T] oldest first, strings or rows."""
    newest_first = item_ids[::-1]
    _, first_seen = np.unique(newest_first, return_index=True)
    return newest_first[np.sort(first_seen)[:length]]


def repeat_features(
    taken: NDArray[np.generic], taken_ms: NDArray[np.int64], candidates: NDArray[np.generic], at_ms: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How often and how long ago a user took each candidate.

    Args:
      taken, taken_ms: [T] item ids (or rows) and event times, oldest first.
      candidates: [C] of the same kind.
      at_ms: the moment of the request.
    Returns:
      (repeat_count, repeat_age_days): float32[C]; 0 and -1 where the user never took it.
    """
    count = np.zeros(len(candidates), np.float32)
    age = np.full(len(candidates), -1, np.float32)
    if not len(taken) or not len(candidates):
        return count, age
    items, inverse, counts = np.unique(taken, return_inverse=True, return_counts=True)
    newest = np.full(len(items), np.iinfo(np.int64).min)
    np.maximum.at(newest, inverse, taken_ms)
    place = np.minimum(np.searchsorted(items, candidates), len(items) - 1)
    known = items[place] == candidates
    count[known] = counts[place[known]]
    age[known] = np.maximum(at_ms - newest[place[known]], 0) / MS_PER_DAY
    return count, age
