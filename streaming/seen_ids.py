"""Remembered event ids: who was seen when, in 24 bytes an id, looked up a batch at a time.

An id is kept as its 128-bit BLAKE2b digest. Like a log-structured merge tree, the memory is a few sorted segments: a batch
becomes a new one, neighbours of like size are merged, and what is older than the horizon leaves at a merge. Whether an
id is a repeat never depends on that: it is one exactly if its last sighting lies at most `horizon_ms` back.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SEEN = np.dtype([("high", "<u8"), ("low", "<u8"), ("last_seen", "<i8")])
LONG = 500_000  # rows that no cache holds
NEVER = np.iinfo(np.int64).min // 2
Segment = NDArray[np.void]  # of SEEN, sorted by (high, low), each id once


def digests(event_ids: list[str]) -> NDArray[np.uint64]:
    """uint64[E, 2] of E ids."""
    joined = b"".join([hashlib.blake2b(i.encode("utf-8", "surrogatepass"), digest_size=16).digest() for i in event_ids])
    return np.frombuffer(joined, "<u8").reshape(-1, 2)


def newest_of(rows: Segment) -> Segment:
    """`rows` sorted by `high`, then by `low`, with each id's last sighting only."""
    rows = rows.take(np.argsort(rows["high"], kind="stable"))  # of sorted runs: a merge, in linear time
    same = rows["high"][1:] == rows["high"][:-1]
    if not same.any():
        return rows
    tied = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
    few = rows[tied]
    rows[tied] = few[np.lexsort((few["last_seen"], few["low"], few["high"]))]
    last = np.r_[(rows["high"][1:] != rows["high"][:-1]) | (rows["low"][1:] != rows["low"][:-1]), True]
    return rows[last]


def look_up(segment: Segment, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64]:
    """When each id was last seen, NEVER where the segment does not have it: int64[E]."""
    result = np.full(len(high), NEVER)
    if not len(segment):
        return result
    at = first_at_least(segment["high"], high)
    open_ = np.ones(len(high), np.bool_)
    while open_.any():  # more than one round only where two ids share their first 64 bits
        inside = np.minimum(at, len(segment) - 1)
        open_ &= (at < len(segment)) & (segment["high"][inside] == high)
        match = open_ & (segment["low"][inside] == low)
        result[match] = segment["last_seen"][inside[match]]
        open_ &= ~match
        at = at + 1
    return result


def first_at_least(ordered: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """np.searchsorted. In a long array all keys take each step together, so that their waits for memory overlap."""
    if len(ordered) < LONG:
        return np.searchsorted(ordered, keys)
    at, step = np.zeros(len(keys), np.int64), 1 << (len(ordered).bit_length() - 1)
    while step:
        probe = at + step
        below = ordered[np.minimum(probe, len(ordered)) - 1] < keys
        at = np.where(below & (probe <= len(ordered)), probe, at)
        step >>= 1
    return at


class SeenIds:
    def __init__(self, horizon_ms: int, stored: Iterable[Segment] = ()) -> None:
        self.horizon_ms = horizon_ms
        rows = list(stored)
        self.segments: list[Segment] = [newest_of(np.concatenate(rows))] if rows else []

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    def sight(self, event_ids: list[str], ingest_ms: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Segment]:
        """Note a batch of sightings, in log order.

        Returns:
          fresh bool[E]: True where the id was not seen within the horizon before.
          The sightings to store, one row an id.
        """
        if not event_ids:
            return np.zeros(0, np.bool_), np.empty(0, SEEN)
        ids = digests(event_ids)
        high, low = ids[:, 0], ids[:, 1]
        order = np.lexsort((low, high))  # stable: log order within an id
        high, low, seen_at = high[order], low[order], ingest_ms[order]
        first = np.r_[True, (high[1:] != high[:-1]) | (low[1:] != low[:-1])]
        before = np.r_[NEVER, seen_at[:-1]]
        before[first] = self.last_seen(high[first], low[first])
        fresh = np.empty(len(order), np.bool_)
        fresh[order] = seen_at - before > self.horizon_ms
        last = np.r_[first[1:], True]
        rows = np.empty(int(last.sum()), SEEN)
        rows["high"], rows["low"], rows["last_seen"] = high[last], low[last], seen_at[last]
        self.add(rows, int(ingest_ms[-1]))
        return fresh, rows

    def last_seen(self, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64]:
        result = np.full(len(high), NEVER)
        for segment in self.segments:
            np.maximum(result, look_up(segment, high, low), out=result)
        return result

    def add(self, rows: Segment, now_ms: int) -> None:
        self.segments.append(rows)
        while len(self.segments) > 1 and len(self.segments[-2]) < 4 * len(self.segments[-1]):
            merged = newest_of(np.concatenate([self.segments.pop(), self.segments.pop()]))
            kept = now_ms - merged["last_seen"] <= self.horizon_ms
            self.segments.append(merged if kept.all() else merged[kept])
