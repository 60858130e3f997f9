"""Where published rows go: the online store, the lake's log, or memory. A push may be repeated and then changes nothing.

The online store keeps an item's newest row; the log keeps every row, once: its commits carry, per partition, the last tick
they hold, and ticks only grow within a partition, whatever batches the rows came in.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from features.errors import StreamError
from features.names import CLICK_7D, DS, EXPOSURE_7D, ITEM_ID, TICK
from streaming.lake_tables import MATURITY_COLUMNS, LakeTable, day_of
from streaming.maturity_state import Rows
from streaming.outbox import join_rows, newest_per_item

ATTEMPTS = 20
ITEMS_A_READ = 5_000


class MaturitySink(Protocol):
    def push(self, rows: Mapping[int, Rows]) -> None:
        """Rows by partition, each ordered by tick. Returns when they are kept."""


class OnlineSink(MaturitySink, Protocol):
    def unknown(self, item_ids: list[str]) -> int:
        """How many of these items the catalogue has not told the store of (yet)."""


class LogSink(MaturitySink, Protocol):
    def last_tick(self, partition: int) -> int | None:
        """The newest tick of which the log has a row of this partition; None if it has none."""


class HistorySink(Protocol):
    def push_histories(self, users: list[str], items: list[list[str]], times_ms: list[list[int]], version_ms: int) -> None:
        """Whole histories, oldest take first; an older version never overwrites a newer one."""


class MemorySink:
    """For tests: `latest` as a reader of the online store sees it, `log` as the lake has it."""

    def __init__(self) -> None:
        self.latest: dict[str, tuple[int, int, int]] = {}
        self.log: set[tuple[str, int, int, int]] = set()
        self.ticks: dict[int, int] = {}
        self.histories: dict[str, tuple[int, list[str], list[int]]] = {}
        self.catalogue: set[str] = set()

    def push(self, rows: Mapping[int, Rows]) -> None:
        for partition, part in rows.items():
            self.ticks[partition] = max([self.ticks.get(partition, -1), *part.tick_ms[-1:].tolist()])
            columns = (part.tick_ms.tolist(), part.exposure_7d.tolist(), part.click_7d.tolist())
            for item, tick, exposure, click in zip(part.item_id, *columns, strict=True):
                self.log.add((item, tick, exposure, click))
                self.latest[item] = max(self.latest.get(item, (-1, 0, 0)), (tick, exposure, click))

    def unknown(self, item_ids: list[str]) -> int:
        return len(set(item_ids) - self.catalogue)

    def last_tick(self, partition: int) -> int | None:
        return self.ticks.get(partition)

    def push_histories(self, users: list[str], items: list[list[str]], times_ms: list[list[int]], version_ms: int) -> None:
        for user, taken, times in zip(users, items, times_ms, strict=True):
            if version_ms > self.histories.get(user, (-1, [], []))[0]:
                self.histories[user] = (version_ms, taken, times)


class FeastPushSink:
    """The online store, through features.retrieval.OnlineFeatures; of each item the newest row of a frame."""

    def __init__(self, online: Any) -> None:
        self.online = online

    def push(self, rows: Mapping[int, Rows]) -> None:
        newest = newest_per_item(join_rows(list(rows.values())))
        if len(newest):
            self.online.push_maturity(newest.item_id, newest.tick_ms, newest.exposure_7d, newest.click_7d)

    def unknown(self, item_ids: list[str]) -> int:
        chunks = (item_ids[start:start + ITEMS_A_READ] for start in range(0, len(item_ids), ITEMS_A_READ))
        return sum(int((self.online.read_items(some).published_at_ms < 0).sum()) for some in chunks)

    def push_histories(self, users: list[str], items: list[list[str]], times_ms: list[list[int]], version_ms: int) -> None:
        if users:
            self.online.push_user_history(users, items, times_ms, version_ms)


class LakeSink:
    """The Delta table item_maturity_log."""

    def __init__(self, path: Path, group: str, topic: str) -> None:
        self.table = LakeTable(path, MATURITY_COLUMNS, [DS])
        self.owner = f"{group}/{topic}"

    def app(self, partition: int) -> str:
        return f"{self.owner}/{partition}"

    def last_tick(self, partition: int) -> int | None:
        self.table.refresh()
        return self.table.transaction(self.app(partition))

    def push(self, rows: Mapping[int, Rows]) -> None:
        """Raises StreamError: other writers were quicker at every attempt."""
        for _ in range(ATTEMPTS):
            self.table.refresh()
            new = {p: self.beyond(part, self.table.transaction(self.app(p))) for p, part in rows.items()}
            new = {p: part for p, part in new.items() if len(part)}
            if not new or self.table.append(self.arrow(join_rows(list(new.values()))),
                                            {self.app(p): int(part.tick_ms[-1]) for p, part in new.items()}):
                if 0 in rows:  # one of the group keeps the table tidy
                    self.table.tidy()
                return
        raise StreamError(f"{self.table.path}: {ATTEMPTS} commits met another writer of the same partitions; who else runs "
                          "this group?")

    @staticmethod
    def beyond(rows: Rows, tick_ms: int | None) -> Rows:
        """The rows after a tick."""
        if tick_ms is None or not len(rows) or rows.tick_ms[0] > tick_ms:
            return rows
        first = int((rows.tick_ms > tick_ms).argmax()) if rows.tick_ms[-1] > tick_ms else len(rows)
        return Rows(rows.item_id[first:], rows.tick_ms[first:], rows.exposure_7d[first:], rows.click_7d[first:])

    def arrow(self, rows: Rows) -> pa.Table:
        return self.table.rows({
            ITEM_ID: rows.item_id, TICK: rows.tick_ms, EXPOSURE_7D: rows.exposure_7d, CLICK_7D: rows.click_7d,
            DS: day_of(rows.tick_ms)})
