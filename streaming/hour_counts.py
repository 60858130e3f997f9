"""Counts per UTC hour and item: what has entered the window, and what is still to enter it.

An hour leaves the window as a whole (features/windows.py), so its events need not be kept one by one: entries of a row
are summed once there are many. An entry that has not entered yet keeps its tick.
"""

import numpy as np
from numpy.typing import NDArray

from features.windows import HOUR_MS, WINDOW_HOURS, Int64

HOUR_ENTRY = np.dtype([("row", "<i4"), ("exposure", "<i4"), ("click", "<i4"), ("enter", "<i8")])
ENTERED = 0  # `enter` of an entry that was summed: it has entered
SPAN_MS = (WINDOW_HOURS + 1) * HOUR_MS
SUM_ABOVE = 5_000  # entries of an hour before summing them is worth a thought
Entries = NDArray[np.void]  # of HOUR_ENTRY


def summed(entries: Entries) -> Entries:
    """One entered entry a row."""
    rows, inverse = np.unique(entries["row"], return_inverse=True)
    result = np.empty(len(rows), HOUR_ENTRY)
    result["row"], result["enter"] = rows, ENTERED
    for name in ("exposure", "click"):
        result[name] = np.bincount(inverse, entries[name], len(rows))
    return result


class HourCounts:
    """The entered entries of every hour in the window."""

    def __init__(self) -> None:
        self.hours: dict[int, list[Entries]] = {}
        self.sizes: dict[int, int] = {}
        self.summed_sizes: dict[int, int] = {}

    def add(self, hours: Int64, entries: Entries) -> None:
        """`hours` int64[E]: the hour of each entry."""
        for hour, part in by_hour(hours, entries):
            self.hours.setdefault(hour, []).append(part)
            self.sizes[hour] = self.sizes.get(hour, 0) + len(part)

    def restore(self, hour: int, entries: Entries) -> None:
        """An hour as it was stored; it counts as summed, or every start would sum and store every large hour again."""
        self.hours[hour] = [entries]
        self.sizes[hour] = self.summed_sizes[hour] = len(entries)

    def pop_left(self, tick_ms: int) -> list[tuple[int, Entries]]:
        """The hours that have left the window by `tick_ms`, with their sums."""
        gone = sorted(hour for hour in self.hours if hour + SPAN_MS <= tick_ms)
        result = []
        for hour in gone:
            result.append((hour, summed(np.concatenate(self.hours.pop(hour)))))
            del self.sizes[hour]
            self.summed_sizes.pop(hour, None)
        return result

    def sum_large(self) -> list[int]:
        """Sum the hours that have grown to twice their last sum; which ones."""
        grown = [hour for hour, size in self.sizes.items() if size > SUM_ABOVE + 2 * self.summed_sizes.get(hour, 0)]
        for hour in grown:
            self.hours[hour] = [summed(np.concatenate(self.hours[hour]))]
            self.sizes[hour] = self.summed_sizes[hour] = len(self.hours[hour][0])
        return grown

    def of(self, hour: int) -> Entries:
        return np.concatenate(self.hours.get(hour) or [np.empty(0, HOUR_ENTRY)])

    def renumber(self, new_row: NDArray[np.int32]) -> None:
        for parts in self.hours.values():
            for part in parts:
                part["row"] = new_row[part["row"]]


def by_hour(hours: Int64, entries: NDArray[np.void]) -> list[tuple[int, NDArray[np.void]]]:
    """`entries` split by hour, each part a copy, hours ascending."""
    order = np.argsort(hours, kind="stable")
    hours, entries = hours[order], entries[order]
    starts = np.flatnonzero(np.r_[True, hours[1:] != hours[:-1]])[:len(hours)]
    return [(int(hours[start]), part.copy()) for start, part in zip(starts, np.split(entries, starts[1:]), strict=False)]
