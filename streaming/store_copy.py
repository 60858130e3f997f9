"""A state store checked, written to a folder and read back: to move it to another server, or to keep before a risky change.

A running stream may be exported: each partition is read as of one commit, and the histories after all of them, so they hold at
least the takes of those commits; whatever they hold beyond is added again when the log is read from the stored offsets.
SIDs of the stream are not copied: the catalogue role gives the same ones again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from features.artefacts import new_artefact, read_manifest
from features.clock import from_ms
from features.errors import StreamError
from features.windows import complete_tick
from streaming.changes import HOUR, ITEMS, SEEN_IDS, Changes, decode_items, segment_hours
from streaming.hour_counts import HOUR_ENTRY, SPAN_MS
from streaming.outbox import decode_entry
from streaming.seen_ids import SEEN
from streaming.state_store import Identity, Position, StateStore, StoredPartition
from streaming.user_history import UserHistories

KIND = "stream_state"
HISTORIES = "histories.msgpack"


class Copied(msgspec.Struct, array_like=True):
    position: tuple[int, int, int]
    segments: dict[str, bytes]
    outbox: dict[int, bytes]


encoder = msgspec.msgpack.Encoder()


def partition_file(folder: Path, partition: int) -> Path:
    return folder / f"partition-{partition}.msgpack"


@dataclass
class Findings:
    lines: list[str]
    faults: list[str]


def check(store: StateStore, partitions: int, interval_ms: int) -> Findings:
    """What each partition holds, and whatever in it contradicts itself. Raises StreamError: it belongs to something else."""
    found = Findings([], [])
    for partition in range(partitions):
        stored = store.load(partition)
        if stored is None:
            found.lines.append(f"p{partition}: no state")
            continue
        at, hours = stored.position, segment_hours(stored.segments, HOUR)
        size = sum(map(len, stored.segments.values()))
        found.lines.append(
            f"p{partition}: offset {at.offset:,}, tick {from_ms(at.tick_ms):%Y-%m-%d %H:%M:%SZ}, {len(hours)} hours, "
            f"{size:,} bytes, {len(stored.outbox)} commits to push")
        found.faults += [f"p{partition}: {fault}" for fault in faults_of(stored, interval_ms)]
    return found


def faults_of(stored: StoredPartition, interval_ms: int) -> Iterator[str]:
    at = stored.position
    if at.tick_ms != max(0, complete_tick(at.watermark_ms, interval_ms)):
        yield f"tick {at.tick_ms} is not the one that watermark {at.watermark_ms} completes"
    items = decode_items(stored.segments.get(ITEMS, b""))
    if len(set(items)) != len(items):
        yield f"{len(items) - len(set(items))} items have two rows"
    for hour, value in segment_hours(stored.segments, HOUR).items():
        if len(value) % HOUR_ENTRY.itemsize:
            yield f"the counts of hour {hour} are cut off"
            continue
        entries = np.frombuffer(value, HOUR_ENTRY)
        if ((entries["row"] < 0) | (entries["row"] >= len(items))).any():
            yield f"hour {hour} counts for items that have no name"
        if (np.minimum(entries["exposure"], entries["click"]) < 0).any():
            yield f"hour {hour} has negative counts"
        if hour + SPAN_MS <= at.tick_ms:
            yield f"hour {hour} has left the window and is still there"
    for hour, value in segment_hours(stored.segments, SEEN_IDS).items():
        if len(value) % SEEN.itemsize:
            yield f"the ids seen in hour {hour} are cut off"
    for offset, value in stored.outbox.items():
        decode_entry(value)
        if offset > at.offset:
            yield f"the outbox has rows of offset {offset}, beyond the state's {at.offset}"


def export(store: StateStore, histories: UserHistories, identity: Identity, target: Path) -> int:
    """Write everything to a new folder; how many users. Raises ArtefactError: it exists."""
    with new_artefact(target, kind=KIND, identity=identity.fields(), group=histories.group) as draft:
        offsets: dict[str, int | None] = {}
        for partition in range(identity.partitions):
            stored = store.load(partition)
            offsets[str(partition)] = None if stored is None else stored.position.offset
            if stored is not None:
                at = stored.position
                copied = Copied((at.offset, at.watermark_ms, at.tick_ms), stored.segments, stored.outbox)
                partition_file(draft.path, partition).write_bytes(encoder.encode(copied))
        takes = dict(histories.everything())
        (draft.path / HISTORIES).write_bytes(encoder.encode(takes))
        draft.manifest["offsets"] = offsets
    return len(takes)


def restore(store: StateStore, histories: UserHistories, identity: Identity, source: Path, replace: bool) -> list[int]:
    """Put an export into the store; which partitions. Histories are added to what is there.

    Raises ArtefactError: no such export, or altered. StreamError: it was made with something else, or the store stands further
    than the export (`replace` overwrites it: the stream then reads the log again from there).
    """
    manifest = read_manifest(source, kind=KIND, verify=True)
    for partition in range(identity.partitions):
        identity.check(manifest["identity"], partition)
    copies = {p: copy for p in range(identity.partitions) if (copy := read_copy(partition_file(source, p))) is not None}
    if not replace:
        ahead = [p for p, copy in copies.items() if (at := store.position(p)) is not None and at.offset > copy.position[0]]
        if ahead:
            raise StreamError(f"partitions {ahead} stand further in the store than in {source}: nothing was imported; "
                              "--replace sets them back, and the stream reads the log again from there")
    takes: dict[str, dict[bytes, int]] = msgspec.msgpack.decode(
        (source / HISTORIES).read_bytes(), type=dict[str, dict[bytes, int]])
    histories.add(takes.items())
    for partition, copy in copies.items():
        put(store, partition, copy)
    return sorted(copies)


def read_copy(path: Path) -> Copied | None:
    return msgspec.msgpack.decode(path.read_bytes(), type=Copied) if path.is_file() else None


def put(store: StateStore, partition: int, copy: Copied) -> None:
    """The partition as it was copied; its outbox becomes one entry an offset, the last with the position itself."""
    offset, watermark_ms, tick_ms = copy.position
    store.clear(partition)
    before: int | None = None
    for earlier, value in sorted(copy.outbox.items()):
        if earlier != offset:
            store.commit(partition, before, Position(earlier, watermark_ms, tick_ms), Changes(), value)
            before = earlier
    changes = Changes()
    for name, content in copy.segments.items():
        changes.replace(name, content)
    store.commit(partition, before, Position(offset, watermark_ms, tick_ms), changes, copy.outbox.get(offset))
