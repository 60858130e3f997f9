"""Which impression a response belongs to (features/README.md, Labels), vectorised.

A click or an order goes to the newest impression of the same user and item that is not after it and at most 24 h before
it; where both sides have a request id, these must be equal.
"""

import numpy as np
from numpy.typing import NDArray

from features.clock import MS_PER_DAY

ATTRIBUTION_MS = MS_PER_DAY
NO_REQUEST = -1

Int64 = NDArray[np.int64]


def attribute(
    shown: Int64, shown_ms: Int64, shown_request: Int64, taken: Int64, taken_ms: Int64, taken_request: Int64,
) -> Int64:
    """The impression of each response: int64[R], -1 where there is none.

    Args:
      shown, taken: int64[I], int64[R] one number for each (user, item).
      shown_ms, taken_ms: event times; impressions must come oldest first (of equal times the last is the newest).
      shown_request, taken_request: one number for each request id, NO_REQUEST where a record has none.
    """
    requests = int(max(shown_request.max(initial=0), taken_request.max(initial=0))) + 1
    has, asks = shown_request != NO_REQUEST, taken_request != NO_REQUEST
    found = np.full(len(taken), -1)
    # A response without a request id may go to any impression; one with, to its request's or to one without.
    found[~asks] = newest_before(shown, shown_ms, taken[~asks], taken_ms[~asks])
    of_request = np.flatnonzero(has)
    same = newest_before(shown[has] * requests + shown_request[has], shown_ms[has],
                         taken[asks] * requests + taken_request[asks], taken_ms[asks])
    without = np.flatnonzero(~has)
    loose = newest_before(shown[~has], shown_ms[~has], taken[asks], taken_ms[asks])
    found[asks] = np.maximum(pick(of_request, same), pick(without, loose))
    too_old = (found >= 0) & (taken_ms - pick(shown_ms, found) > ATTRIBUTION_MS)
    found[too_old] = -1
    return found


def newest_before(group: Int64, ms: Int64, asked_group: Int64, asked_ms: Int64) -> Int64:
    """For each asked (group, time): the index of the last row of that group at or before the time, else -1."""
    rows, asked = len(group), len(asked_group)
    groups, times = np.concatenate([group, asked_group]), np.concatenate([ms, asked_ms])
    is_asked = np.arange(rows + asked) >= rows
    order = np.lexsort((np.arange(rows + asked), is_asked, times, groups))
    last = np.maximum.accumulate(np.where(is_asked[order], -1, np.arange(rows + asked)))
    found = np.where(last >= 0, order[last], -1)
    found[(found >= 0) & (groups[found] != groups[order])] = -1
    result = np.empty(asked, np.int64)
    result[order[is_asked[order]] - rows] = found[is_asked[order]]
    return result


def pick(values: Int64, at: Int64) -> Int64:
    """values[at], -1 where at is -1."""
    return np.where(at >= 0, values[at], -1) if len(values) else np.full(len(at), -1)
