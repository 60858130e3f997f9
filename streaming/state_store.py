"""Where a partition's state, offset and outbox live, changed together or not at all; and the store for tests, in memory.

A commit names the offset it started from and succeeds only if that is still the stored one: a consumer that has lost its
partition without knowing it (a zombie) is fenced. Who the state belongs to (`Identity`) is stored with it, because offsets
of another cluster, or counts of another interval, would go on wrongly and silently.
"""

from dataclasses import dataclass, field
from typing import Protocol

from features.errors import StreamError
from streaming.changes import Changes

SCHEMA_VERSION = 1


class Fenced(StreamError):
    """Someone else has committed for this partition: what was computed here is void; load again."""


@dataclass(frozen=True)
class Identity:
    """What stored state is only valid for."""

    cluster_id: str
    topic: str
    partitions: int
    interval_ms: int
    dedupe_horizon_ms: int
    schema_version: int = SCHEMA_VERSION

    def fields(self) -> dict[str, str]:
        return {name: str(value) for name, value in vars(self).items()}

    def check(self, stored: dict[str, str], partition: int) -> None:
        """Raises StreamError, naming every difference."""
        wrong = [f"{name}: stored {stored.get(name)}, now {value}" for name, value in self.fields().items()
                 if stored.get(name) != value]
        if wrong:
            raise StreamError(
                f"the state of partition {partition} belongs to something else ({'; '.join(wrong)}). Connect to what it "
                "was made "
                "with, or start again from the lake: `python -m streaming seed --as-of D --replace`")


@dataclass(frozen=True)
class Position:
    """How far a partition is: next offset to read, largest ingest time met, last complete tick."""

    offset: int
    watermark_ms: int
    tick_ms: int


@dataclass
class StoredPartition:
    position: Position
    segments: dict[str, bytes] = field(default_factory=dict)
    outbox: dict[int, bytes] = field(default_factory=dict)  # by the offset of the commit that put it there


@dataclass(frozen=True)
class Server:
    """What answers for a store. Another run of it may hold other contents: it came back, or another one took over."""

    run: str
    used_bytes: int


class StateStore(Protocol):
    def load(self, partition: int) -> StoredPartition | None:
        """The state, None if there is none. Raises StreamError: it belongs to another cluster, topic or setting."""

    def position(self, partition: int) -> Position | None:
        """The position alone."""

    def outbox(self, partition: int) -> dict[int, bytes]:
        """What waits to be pushed alone."""

    def commit(self, partition: int, expected_offset: int | None, position: Position, changes: Changes,
               outbox: bytes | None) -> None:
        """All of it or nothing. Raises Fenced: the stored offset is not `expected_offset` (None: no state yet)."""

    def drop_outbox(self, partition: int, offsets: list[int]) -> None:
        """Forget entries that were pushed; unknown ones are no fault."""

    def clear(self, partition: int) -> None:
        """Forget the partition."""

    def server(self) -> Server:
        """Who answers now."""


class MemoryStateStore:
    """The contract in a dictionary; several stores on one `shared` are several clients of one server."""

    def __init__(self, identity: Identity, shared: dict[int, tuple[Identity, StoredPartition]] | None = None) -> None:
        self.identity = identity
        self.shared = {} if shared is None else shared

    def load(self, partition: int) -> StoredPartition | None:
        if partition not in self.shared:
            return None
        owner, stored = self.shared[partition]
        self.identity.check(owner.fields(), partition)
        return StoredPartition(stored.position, dict(stored.segments), dict(stored.outbox))

    def position(self, partition: int) -> Position | None:
        stored = self.load(partition)
        return None if stored is None else stored.position

    def outbox(self, partition: int) -> dict[int, bytes]:
        stored = self.load(partition)
        return {} if stored is None else stored.outbox

    def commit(self, partition: int, expected_offset: int | None, position: Position, changes: Changes,
               outbox: bytes | None) -> None:
        _, stored = self.shared.get(partition, (None, None))
        found = None if stored is None else stored.position.offset
        if found != expected_offset:
            raise Fenced(fenced_message(partition, expected_offset, found))
        stored = stored or StoredPartition(position)
        stored.position = position
        changes.apply_to(stored.segments)
        if outbox is not None:
            stored.outbox[position.offset] = outbox
        self.shared[partition] = (self.identity, stored)

    def drop_outbox(self, partition: int, offsets: list[int]) -> None:
        if partition in self.shared:
            for offset in offsets:
                self.shared[partition][1].outbox.pop(offset, None)

    def clear(self, partition: int) -> None:
        self.shared.pop(partition, None)

    def server(self) -> Server:
        return Server("memory", 0)


def fenced_message(partition: int, expected: int | None, found: int | None) -> str:
    return (f"partition {partition} stands at offset {found}, this commit started from {expected}: another consumer, or an "
            "older copy of the store, has taken over; the state is loaded again")
