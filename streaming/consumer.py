"""The maturity role: poll → decode → apply → commit → push, per partition, with exactly-once effect (DESIGN §3).

    records ── decode, admit ──► state ──► user histories (idempotent) ──► ONE commit: state + offset + outbox ──► push ──►
    drop outbox
       └────── refused ────────► dead letters

A crash before the commit: the batch is read again. After it, before the push: the outbox is in the store, the next owner
pushes it. After the push: the same rows are pushed again, which changes nothing. A commit that does not start from the
stored offset is refused (Fenced): what was computed is thrown away and the state is loaded again. So it is when the store
has been restarted: it may have come back as an older copy of itself, which then catches up by reading the log again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from features.clock import Clock, from_ms
from features.errors import EnvironmentFault, StreamError
from features.names import VIEW_MATURITY, VIEW_USER_HISTORY
from streaming.config import StreamConfig
from streaming.dead_letter import DeadLetters
from streaming.decode import admit, decode_events
from streaming.heartbeat import Heartbeats
from streaming.kafka_io import Records, TopicPart
from streaming.maturity_state import MaturityState
from streaming.outbox import Entry, decode_entry, encode_entry, join_rows
from streaming.report import Report, say
from streaming.sinks import HistorySink, LogSink, OnlineSink
from streaming.state_store import Fenced, Position, StateStore
from streaming.user_history import UserHistories

PUSH_ROWS = 100_000  # rows waiting that are pushed even while behind
PUSH_EVERY_S = 2.0  # a consumer that is behind pushes this often, each item's newest row only
USERS_A_PUSH = 1_000
CHECK_STORE_EVERY_S = 2.0


class StoreRestarted(EnvironmentFault):
    """The state store is not the server process that the states were loaded from."""


@dataclass
class Held:
    """A partition this process owns."""

    state: MaturityState
    offset: int | None  # the stored one; None before the first commit
    watermark_ms: int
    outbox: dict[int, Entry] = field(default_factory=dict)  # by the offset of its commit


class MaturityRole:
    name = "maturity"

    def __init__(self, config: StreamConfig, store: StateStore, histories: UserHistories, online: OnlineSink,
                 log: LogSink, history_sink: HistorySink, dead_letters: DeadLetters, heartbeats: Heartbeats,
                 report: Report, clock: Clock) -> None:
        self.config, self.store, self.histories, self.report, self.clock = config, store, histories, report, clock
        self.online, self.log = online, log
        self.history_sink, self.dead_letters, self.heartbeats = history_sink, dead_letters, heartbeats
        self.topics, self.group = [config.events_topic], config.group
        self.held: dict[int, Held] = {}
        self.positions: dict[TopicPart, int] = {}
        self.fenced: set[int] = set()
        self.new_items: list[str] = []
        self.pushed = self.checked = time.monotonic()
        self.server_run = store.server().run

    def on_assigned(self, parts: list[TopicPart]) -> Mapping[TopicPart, int | None]:
        if not self.held:
            self.server_run = self.store.server().run
        offsets = {part: self.load(part.partition) for part in parts}
        self.push()  # what could not be pushed before: until it is, nothing more is taken in, and the outbox does not grow
        return offsets

    def on_revoked(self, parts: list[TopicPart]) -> None:
        """What waits to be pushed is in the store; the next owner pushes it."""
        for part in parts:
            self.held.pop(part.partition, None)
            self.positions.pop(part, None)

    def load(self, partition: int) -> int:
        """Hold the partition as it is stored; the offset to read from.

        Raises StreamError: the store has no state of it, yet rows were published from one.
        """
        stored, published_ms = self.store.load(partition), self.log.last_tick(partition)
        settings = (self.config.interval_ms, self.config.dedupe_horizon_ms)
        if stored is None and published_ms is not None:
            raise StreamError(
                f"partition {partition}: rows were published up to {from_ms(published_ms):%Y-%m-%d %H:%M:%SZ}, but the state "
                "store knows nothing of it: it was emptied, or it is another one. Bring the store or a copy of it back (the "
                "stream catches up from there), or start from the lake: `python -m streaming seed --as-of D`")
        if stored is None:
            self.held[partition] = Held(MaturityState(*settings), None, -1)
        else:
            at = stored.position
            if published_ms is not None and published_ms > at.tick_ms:
                self.report.progress.reloads["restored"] += 1
                say(f"partition {partition}: the state is of {from_ms(at.tick_ms):%Y-%m-%d %H:%M:%SZ}, older than what was "
                    f"published from it: a copy came back, or it was seeded. Reading again from offset {at.offset:,}")
            outbox = {offset: decode_entry(value) for offset, value in sorted(stored.outbox.items())}
            state = MaturityState(*settings, stored.segments, at.tick_ms)
            self.held[partition] = Held(state, at.offset, at.watermark_ms, outbox)
        offset = self.held[partition].offset or 0
        self.positions[TopicPart(self.config.events_topic, partition)] = offset
        self.heartbeats.heard(partition)
        return offset

    def handle(self, part: TopicPart, records: Records) -> None:
        held = self.held.get(part.partition)
        if held is None or part.partition in self.fenced:
            return
        self.heartbeats.heard(part.partition)
        ingest_ms = np.maximum.accumulate(np.maximum(records.time_ms, held.watermark_ms))
        decoded = decode_events(records.key, records.value, ingest_ms)
        events, refused = admit(decoded.events, self.config.interval_ms)
        self.dead_letters.send(part, records, decoded.rejected + refused)
        applied = held.state.apply(events, int(ingest_ms[-1]))
        fresh = events.take(applied.fresh)
        entry = Entry(applied.rows, self.histories.apply(fresh))
        position = Position(records.next_offset, int(ingest_ms[-1]), held.state.tick_ms)
        try:
            self.store.commit(part.partition, held.offset, position, applied.changes, encode_entry(entry))
        except Fenced as fault:
            say(str(fault))
            self.report.progress.reloads["fenced"] += 1
            self.fenced.add(part.partition)
            return
        held.offset, held.watermark_ms = position.offset, position.watermark_ms
        self.positions[part] = position.offset
        self.new_items += applied.new_items
        if len(entry.rows) or entry.users:
            held.outbox[position.offset] = entry
        self.count(records, len(events), len(fresh), applied.late, decoded.heartbeats,
                   [letter.reason for letter in decoded.rejected + refused])

    def count(self, records: Records, events: int, fresh: int, late: int, heartbeats: int, reasons: list[str]) -> None:
        progress = self.report.progress
        progress.records += len(records)
        progress.dead += len(reasons)
        progress.outcomes.update(reasons)
        progress.outcomes.update({"counted": fresh, "repeat": events - fresh, "late": late, "heartbeat": heartbeats})
        progress.watermark_ms = min(held.watermark_ms for held in self.held.values())
        progress.tick_ms = min(held.state.tick_ms for held in self.held.values())

    def settle(self, idle: bool) -> dict[TopicPart, int | None]:
        self.check_store()
        waiting = sum(len(entry.rows) for held in self.held.values() for entry in held.outbox.values())
        if idle or waiting >= PUSH_ROWS or time.monotonic() - self.pushed >= PUSH_EVERY_S:
            self.push()
        if idle:
            self.heartbeats.beat({p: held.watermark_ms for p, held in self.held.items()})
        again: dict[TopicPart, int | None] = {
            TopicPart(self.config.events_topic, p): self.load(p) for p in self.fenced if p in self.held}
        self.fenced.clear()
        return again

    def check_store(self) -> None:
        """Now and then: how much is kept. Raises StoreRestarted: what was loaded may not be what the store now has."""
        if time.monotonic() - self.checked >= CHECK_STORE_EVERY_S:
            self.checked = time.monotonic()
            server = self.store.server()
            if server.run != self.server_run:
                raise StoreRestarted("the state store was restarted: its state is loaded again")
            held = self.held.values()
            self.report.progress.state = {
                "items": sum(len(h.state.item_ids) for h in held), "remembered_ids": sum(len(h.state.seen) for h in held),
                "outbox_rows": sum(len(e.rows) for h in held for e in h.outbox.values()), "store_bytes": server.used_bytes}

    def push(self) -> None:
        """Everything in the outboxes, then forget it."""
        self.pushed = time.monotonic()
        waiting = {p: dict(held.outbox) for p, held in self.held.items() if held.outbox}
        if waiting:
            with self.report.metrics.push.time():
                self.push_entries(waiting)
        self.report.progress.published_tick_ms = min((held.state.tick_ms for held in self.held.values()), default=-1)

    def push_entries(self, waiting: dict[int, dict[int, Entry]]) -> None:
        rows = {p: join_rows([entry.rows for entry in entries.values()]) for p, entries in waiting.items()}
        self.online.push(rows)
        self.log.push(rows)
        self.report.progress.outcomes["unknown_item"] += self.online.unknown(self.new_items)
        self.new_items = []
        users = sorted({user for entries in waiting.values() for entry in entries.values() for user in entry.users})
        self.push_histories(users)
        for partition, entries in waiting.items():
            self.store.drop_outbox(partition, list(entries))
            for offset in entries:
                del self.held[partition].outbox[offset]
        self.report.progress.pushed.update({VIEW_MATURITY: sum(map(len, rows.values())), VIEW_USER_HISTORY: len(users)})

    def push_histories(self, users: list[str]) -> None:
        for start in range(0, len(users), USERS_A_PUSH):
            some = users[start:start + USERS_A_PUSH]
            version, items, times = self.histories.read(some, self.clock.now_ms())
            self.history_sink.push_histories(some, items, times, version)

    def finish(self) -> None:
        self.push()
