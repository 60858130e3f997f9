"""The stream's state from Spark's rebuild: maturity as of a day, and the histories of the users, at stated offsets.

`maturity_state/<D>/` says what counts after the tick D 00:00, what waits, which ids are remembered and who was published
how; the last two agree by construction (the published pair is the sum of what counts) and are compared here. Rows of the
tick D 00:00 itself belong to the day that the stream takes over, so they go to its outbox.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from numpy.typing import NDArray

from features.artefacts import read_manifest
from features.clock import day_start_ms, from_ms
from features.errors import ArtefactError, StreamError
from features.events import CLICK
from features.names import DS, TABLE_USER_HISTORY
from features.windows import enter_tick, floor_hour
from streaming.changes import HOUR, ITEMS, SEEN_IDS, Changes, encode_items, segment
from streaming.config import StreamConfig
from streaming.hour_counts import ENTERED, HOUR_ENTRY, by_hour
from streaming.kafka_io import Broker, partition_of
from streaming.maturity_state import Rows
from streaming.outbox import Entry, encode_entry
from streaming.seen_ids import SEEN, digests
from streaming.state_store import Position, StateStore
from streaming.user_history import SEPARATOR, UserHistories

KIND = "maturity_state"
Int64 = NDArray[np.int64]


@dataclass
class Seeded:
    partitions: list[int]  # that were written; the others stood at as_of or later
    items: int = 0
    ids: int = 0
    users: int = 0


class StateFolder:
    """The four tables of a maturity state, each with the partition of its items."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self.manifest = read_manifest(folder, kind=KIND, verify=True)
        self.partitions = partitions
        self.of_item: dict[str, int] = {}
        self.hour_counts = self.read(folder / "hour_counts.parquet")
        self.pending = self.read(folder / "pending.parquet")
        self.seen = self.read(folder / "seen.parquet")
        self.last_rows = self.read(folder / "last_rows.parquet")

    def read(self, file: Path) -> list[pa.Table]:
        """One table per partition of the topic."""
        table = pq.read_table(file)
        items = table["item_id"].combine_chunks().dictionary_encode()
        names = items.dictionary.to_pylist()
        for name in names:
            if name not in self.of_item:
                self.of_item[name] = partition_of(name.encode(), self.partitions)
        place = np.array([self.of_item[name] for name in names], np.int64)
        where = place[items.indices.to_numpy()] if names else np.empty(0, np.int64)
        return [table.filter(pa.array(where == p)) for p in range(self.partitions)]


def seed_state(config: StreamConfig, broker: Broker, store: StateStore, as_of: date, replace: bool) -> Seeded:
    """Write the state of every partition that does not stand at `as_of` or later (`replace`: of every partition).

    Raises ArtefactError: no such state, or its files are altered. StreamError: it was made with another publish interval,
    or its tables contradict each other.
    """
    folder = StateFolder(config.layout.maturity_state(as_of.isoformat()), config.partitions)
    if folder.manifest["publish_interval_ms"] != config.interval_ms:
        raise StreamError(f"the state of {as_of} was made for ticks of {folder.manifest['publish_interval_ms']} ms, the "
                          "stream publishes every "
                          f"{config.interval_ms}: run item_stats again with this setting")
    as_of_ms = int(folder.manifest["watermark_ms"])
    offsets = offsets_from(config, broker, as_of_ms)
    seeded = Seeded([])
    for partition in range(config.partitions):
        if not replace:
            at = store.position(partition)
            if at is not None and at.watermark_ms >= as_of_ms:
                continue
        changes, entry = partition_changes(folder, partition, as_of_ms, config.interval_ms)
        store.clear(partition)
        store.commit(partition, None, Position(offsets[partition], as_of_ms, as_of_ms), changes, encode_entry(entry))
        seeded.partitions.append(partition)
        seeded.items += len(set(folder.hour_counts[partition]["item_id"].to_pylist()))
        seeded.ids += folder.seen[partition].num_rows
    return seeded


def offsets_from(config: StreamConfig, broker: Broker, as_of_ms: int) -> dict[int, int]:
    """The first offset of each partition whose record is ingested at `as_of_ms` or later: the end where there is none."""
    found = broker.offsets_at(config.events_topic, range(config.partitions), as_of_ms)
    ends = broker.end_offsets(config.events_topic, range(config.partitions))
    return {p: at if at >= 0 else ends[p] for p, (at, _) in found.items()}


def partition_changes(folder: StateFolder, partition: int, as_of_ms: int, interval_ms: int) -> tuple[Changes, Entry]:
    counts, pending, seen = folder.hour_counts[partition], folder.pending[partition], folder.seen[partition]
    check_pairs(counts, folder.last_rows[partition])
    changes = Changes()
    row_of: dict[str, int] = {}
    for table in (counts, pending):
        for item in table["item_id"].to_pylist():
            row_of.setdefault(item, len(row_of))
    changes.replace(ITEMS, encode_items(list(row_of)))
    entries = np.concatenate([entered_entries(counts, row_of), pending_entries(pending, row_of, interval_ms)])
    hours = np.concatenate([int64(counts, "hour_ms"), floor_hour(int64(pending, "event_time_ms"))])
    for hour, part in by_hour(hours, entries):
        changes.replace(segment(HOUR, hour), part.tobytes())
    for hour, part in by_hour(floor_hour(int64(seen, "last_seen_ms")), seen_entries(seen)):
        changes.replace(segment(SEEN_IDS, hour), part.tobytes())
    return changes, Entry(rows_at(folder.last_rows[partition], as_of_ms))


def int64(table: pa.Table, name: str) -> Int64:
    return table[name].to_numpy().astype(np.int64)


def entered_entries(counts: pa.Table, row_of: dict[str, int]) -> NDArray[np.void]:
    entries = np.empty(counts.num_rows, HOUR_ENTRY)
    entries["row"] = [row_of[item] for item in counts["item_id"].to_pylist()]
    entries["exposure"], entries["click"], entries["enter"] = int64(counts, "exposure"), int64(counts, "click"), ENTERED
    return entries


def pending_entries(pending: pa.Table, row_of: dict[str, int], interval_ms: int) -> NDArray[np.void]:
    entries = np.empty(pending.num_rows, HOUR_ENTRY)
    entries["row"] = [row_of[item] for item in pending["item_id"].to_pylist()]
    entries["click"] = [kind == CLICK for kind in pending["event_type"].to_pylist()]
    entries["exposure"] = 1 - entries["click"]
    entries["enter"] = enter_tick(int64(pending, "event_time_ms"), int64(pending, "ingest_time_ms"), interval_ms)
    return entries


def seen_entries(seen: pa.Table) -> NDArray[np.void]:
    entries = np.empty(seen.num_rows, SEEN)
    ids = digests(seen["event_id"].to_pylist())
    entries["high"], entries["low"], entries["last_seen"] = ids[:, 0], ids[:, 1], int64(seen, "last_seen_ms")
    return entries


def check_pairs(counts: pa.Table, last: pa.Table) -> None:
    """Raises StreamError: an item's last published pair is not the sum of its hours."""
    summed = counts.group_by("item_id").aggregate([("exposure", "sum"), ("click", "sum")]).to_pydict()
    sums = dict(zip(summed["item_id"], zip(summed["exposure_sum"], summed["click_sum"], strict=True), strict=True))
    rows = last.to_pydict()
    pairs = dict(zip(rows["item_id"], zip(rows["exposure_7d"], rows["click_7d"], strict=True), strict=True))
    wrong = [item for item in sums.keys() | pairs.keys() if sums.get(item, (0, 0)) != pairs.get(item, (0, 0))]
    if wrong:
        item = min(wrong)
        raise StreamError(f"{len(wrong)} items were last published with another pair than their hours sum to, e.g. {item}: "
                          f"{pairs.get(item)} "
                          f"against {sums.get(item)}: run item_stats again over at least 15 days")


def rows_at(last: pa.Table, tick_ms: int) -> Rows:
    mine = last.filter(pa.array(int64(last, "tick_ms") == tick_ms))
    return Rows(mine["item_id"].to_pylist(), int64(mine, "tick_ms"), int64(mine, "exposure_7d"), int64(mine, "click_7d"))


def seed_histories(config: StreamConfig, histories: UserHistories, as_of: date) -> int:
    """Add the takes known at `as_of` to the users' sorted sets; how many users. Adding them again changes nothing."""
    path, day = config.layout.table(TABLE_USER_HISTORY), (as_of - timedelta(days=1)).isoformat()
    try:
        rows = DeltaTable(str(path)).to_pyarrow_table(
            partitions=[(DS, "=", day)], columns=["user_id", "item_ids", "event_times_ms", "event_ids"])
    except TableNotFoundError:
        raise ArtefactError(f"no table {path}: run `python -m spark_jobs.user_history --as-of {as_of}` first") from None
    histories.add(takes_of(rows))
    return int(rows.num_rows)


def takes_of(rows: pa.Table) -> Iterator[tuple[str, dict[bytes, int]]]:
    for batch in rows.to_batches(2_000):
        for row in batch.to_pylist():
            members = (event.encode() + SEPARATOR + item.encode()
                       for event, item in zip(row["event_ids"], row["item_ids"], strict=True))
            if row["event_ids"]:
                yield row["user_id"], dict(zip(members, row["event_times_ms"], strict=True))


def describe(seeded: Seeded, as_of: date, partitions: int) -> str:
    kept = partitions - len(seeded.partitions)
    at = f"{from_ms(day_start_ms(as_of)):%Y-%m-%d %H:%MZ}"
    left = f"; {kept} partitions stood at {at} or later and were left (--replace overwrites them)" if kept else ""
    return (f"as of {at}: {seeded.items:,} items and {seeded.ids:,} remembered ids in {len(seeded.partitions)} partitions, "
            f"{seeded.users:,} users{left}")
