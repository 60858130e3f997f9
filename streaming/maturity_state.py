"""One partition's maturity: events in, rows to publish out (DESIGN §3, features/windows.py), a batch at a time.

                event accepted           enter tick                    leave tick = its hour + 169 h
    ───────────────┼─────────────────────────┼──────────────────────────────────┼────────► ticks
                   └─ pending ───────────────┴─ in hour counts and in the pair ──┘

The pair (exposure_7d, click_7d) of an item is the sum of what has entered and not left, as of the last complete tick; a row is
published whenever it changes, so it is at the same time the last published pair. All of it is a function of the log: the
same records in other batches give the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import filterfalse

import numpy as np
from numpy.typing import NDArray

from features.windows import DEDUPE_HORIZON_MS, HOUR_MS, PUBLISH_INTERVAL_MS, complete_tick, enter_tick, floor_hour, leave_tick
from streaming.changes import HOUR, ITEMS, SEEN_IDS, Changes, decode_items, encode_items, segment, segment_hours
from streaming.decode import CLICK_KIND, ORDER_KIND, Events
from streaming.hour_counts import ENTERED, HOUR_ENTRY, SPAN_MS, Entries, HourCounts, by_hour
from streaming.seen_ids import SEEN, SeenIds

Int64 = NDArray[np.int64]
RENUMBER_ABOVE = 10_000  # idle rows before they are given back


@dataclass
class Rows:
    """Rows to publish: the pair of an item as of a tick; ordered by tick."""

    item_id: list[str]
    tick_ms: Int64
    exposure_7d: Int64
    click_7d: Int64

    def __len__(self) -> int:
        return len(self.item_id)


NO_ROWS = Rows([], np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass
class Applied:
    fresh: NDArray[np.bool_]  # which events of the batch were not repeats
    late: int  # fresh events whose hour had ended when they were ingested
    rows: Rows
    changes: Changes
    new_items: list[str]  # met for the first time, or again after they had left


class MaturityState:
    def __init__(self, interval_ms: int = PUBLISH_INTERVAL_MS, dedupe_horizon_ms: int = DEDUPE_HORIZON_MS,
                 segments: Mapping[str, bytes] | None = None, tick_ms: int = 0) -> None:
        """From stored segments and the tick they are complete up to; both empty for a partition never read."""
        self.interval_ms = interval_ms
        self.tick_ms = tick_ms
        segments = segments or {}
        self.item_ids = decode_items(segments.get(ITEMS, b""))
        self.row_of = {item: row for row, item in enumerate(self.item_ids)}
        self.exposure = np.zeros(max(1024, 2 * len(self.item_ids)), np.int64)
        self.click = np.zeros_like(self.exposure)
        self.counts = HourCounts()
        self.pending: Entries = np.empty(0, HOUR_ENTRY)
        self.pending_hour: Int64 = np.empty(0, np.int64)
        for hour, value in segment_hours(segments, HOUR).items():
            self.restore_hour(hour, np.frombuffer(value, HOUR_ENTRY))
        seen = segment_hours(segments, SEEN_IDS)
        self.seen_hours = set(seen)
        self.seen = SeenIds(dedupe_horizon_ms, [np.frombuffer(value, SEEN) for value in seen.values()])

    def restore_hour(self, hour: int, entries: Entries) -> None:
        entered = entries["enter"] <= self.tick_ms
        waiting = entries[~entered]
        self.pending = np.concatenate([self.pending, waiting])
        self.pending_hour = np.concatenate([self.pending_hour, np.full(len(waiting), hour)])
        entries = entries[entered]
        self.counts.restore(hour, entries)
        np.add.at(self.exposure, entries["row"], entries["exposure"])
        np.add.at(self.click, entries["row"], entries["click"])

    def apply(self, events: Events, watermark_ms: int) -> Applied:
        """Take in a batch. `watermark_ms`: the largest ingest time so far, of any record (heartbeats and refused ones
        count)."""
        changes = Changes()
        fresh, seen = self.seen.sight(events.event_id, events.ingest_ms)
        for hour, part in by_hour(floor_hour(seen["last_seen"]), seen):
            changes.append(segment(SEEN_IDS, hour), part.tobytes())
            self.seen_hours.add(hour)
        late = int((fresh & (floor_hour(events.event_ms) + HOUR_MS <= events.ingest_ms)).sum())
        known = len(self.item_ids)
        self.accept(events.take(fresh & (events.kind != ORDER_KIND)), changes)
        new_items = self.item_ids[known:]
        before = self.tick_ms
        rows = self.complete(complete_tick(watermark_ms, self.interval_ms), changes)
        for hour in self.counts.sum_large():
            changes.replace(segment(HOUR, hour), self.stored_hour(hour))
        for hour in [h for h in self.seen_hours if watermark_ms - (h + HOUR_MS) > self.seen.horizon_ms]:
            changes.delete(segment(SEEN_IDS, hour))
            self.seen_hours.discard(hour)
        hour_passed = self.tick_ms // HOUR_MS > before // HOUR_MS  # else no item has become idle
        if hour_passed and len(self.item_ids) > RENUMBER_ABOVE and 2 * self.active().sum() < len(self.item_ids):
            self.renumber(changes)
        return Applied(fresh, late, rows, changes, new_items)

    def accept(self, events: Events, changes: Changes) -> None:
        """Put counted events among the pending ones."""
        enter = enter_tick(events.event_ms, events.ingest_ms, self.interval_ms)
        counted = enter < leave_tick(events.event_ms)
        events, enter = events.take(counted), enter[counted]
        if not len(events):
            return
        entries = np.empty(len(events), HOUR_ENTRY)
        entries["row"] = self.rows(events.item_id, changes)
        entries["click"] = events.kind == CLICK_KIND
        entries["exposure"] = 1 - entries["click"]
        entries["enter"] = enter
        hours = floor_hour(events.event_ms)
        for hour, part in by_hour(hours, entries):
            changes.append(segment(HOUR, hour), part.tobytes())
        self.pending = np.concatenate([self.pending, entries])
        self.pending_hour = np.concatenate([self.pending_hour, hours])

    def rows(self, item_ids: list[str], changes: Changes) -> NDArray[np.int32]:
        """The row of each item; an item met for the first time gets the next one."""
        row_of = self.row_of
        new = list(dict.fromkeys(filterfalse(row_of.__contains__, item_ids)))
        if new:
            row_of.update((item, len(self.item_ids) + i) for i, item in enumerate(new))
            self.item_ids += new
            changes.append(ITEMS, encode_items(new))
            if len(self.item_ids) > len(self.exposure):
                more = np.zeros(2 * len(self.item_ids) - len(self.exposure), np.int64)
                self.exposure, self.click = np.concatenate([self.exposure, more]), np.concatenate([self.click, more])
        return np.fromiter(map(row_of.__getitem__, item_ids), np.int32, len(item_ids))

    def complete(self, tick_ms: int, changes: Changes) -> Rows:
        """Everything that happens up to a complete tick: entries enter, hours leave, changed pairs become rows."""
        if tick_ms <= self.tick_ms:
            return NO_ROWS
        self.tick_ms = tick_ms
        entering = self.pending["enter"] <= tick_ms
        moves = [self.pending[entering]]
        self.counts.add(self.pending_hour[entering], moves[0])
        self.pending, self.pending_hour = self.pending[~entering], self.pending_hour[~entering]
        for hour, entries in self.counts.pop_left(tick_ms):
            changes.delete(segment(HOUR, hour))
            entries["exposure"] *= -1
            entries["click"] *= -1
            entries["enter"] = hour + SPAN_MS
            moves.append(entries)
        return self.move(np.concatenate(moves))

    def move(self, moves: Entries) -> Rows:
        """Add changes (`enter` is the tick they happen at) to the pairs; one row for each pair that changed at a tick."""
        if not len(moves):
            return NO_ROWS
        moves = moves[np.lexsort((moves["enter"], moves["row"]))]
        row, tick = moves["row"], moves["enter"]
        first = np.flatnonzero(np.r_[True, (row[1:] != row[:-1]) | (tick[1:] != tick[:-1])])
        row, tick = row[first], tick[first]
        starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        lengths = np.diff(np.r_[starts, len(row)])
        ends = starts + lengths - 1
        changed = np.zeros(len(row), np.bool_)
        values = []
        for name, pair in (("exposure", self.exposure), ("click", self.click)):
            change = np.add.reduceat(moves[name], first, dtype=np.int64)
            running = np.cumsum(change)
            base = pair[row[starts]] - (running[starts] - change[starts])
            running += np.repeat(base, lengths)
            pair[row[ends]] = running[ends]
            changed |= change != 0
            values.append(running)
        kept = np.flatnonzero(changed)
        kept = kept[np.argsort(tick[kept], kind="stable")]
        return Rows([self.item_ids[i] for i in row[kept].tolist()], tick[kept], values[0][kept], values[1][kept])

    def stored_hour(self, hour: int) -> bytes:
        """The whole segment of an hour: what has entered and what waits."""
        entered = self.counts.of(hour).copy()
        entered["enter"] = ENTERED
        return entered.tobytes() + self.pending[self.pending_hour == hour].tobytes()

    def active(self) -> NDArray[np.bool_]:
        """Which rows are in use: a pair other than (0, 0), or an entry waiting."""
        used = (self.exposure[:len(self.item_ids)] != 0) | (self.click[:len(self.item_ids)] != 0)
        used[self.pending["row"]] = True
        return used

    def renumber(self, changes: Changes) -> None:
        """Give back the rows of idle items, so that memory follows the items in use."""
        used = self.active()
        new_row = np.cumsum(used, dtype=np.int32) - np.int32(1)
        where = np.flatnonzero(used)
        self.item_ids = [self.item_ids[i] for i in where.tolist()]
        self.row_of = {item: row for row, item in enumerate(self.item_ids)}
        spare = np.zeros(len(where) + 1024, np.int64)
        self.exposure = np.concatenate([self.exposure[where], spare])
        self.click = np.concatenate([self.click[where], spare])
        self.counts.renumber(new_row)
        self.pending["row"] = new_row[self.pending["row"]]
        changes.replace(ITEMS, encode_items(self.item_ids))
        for hour in set(self.counts.hours) | set(self.pending_hour.tolist()):
            changes.replace(segment(HOUR, hour), self.stored_hour(hour))
