"""Writes what was served into the lake, off the request's thread: `rank` leaves a reference, a thread appends whole batches.

    with ServedLog(layout.table(TABLE_SERVED_FEATURES)) as log: RankingService(…, served_log=log)

Bounded: when the lake is away for longer than the buffer lasts, requests go unlogged, counted as dropped, and are answered
all the same. A process that is killed loses what it had not appended (FLUSH_SECONDS at most); one told to end appends it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from numpy.typing import NDArray
from prometheus_client import Counter

from features.names import CLICK_7D, CODEBOOK_VERSION, DS, EXPOSURE_7D, ONLINE_DAYS, REQUEST_ID, USER_ID
from features.served_features import (
    AT,
    DEFAULTS,
    ITEM_CODES,
    ITEM_IDS,
    REPEAT_AGE_DAYS,
    REPEAT_COUNT,
    SERVED_AT,
    TICKS_MS,
    served_schema,
)
from features.spec import contract_hash
from serving.assemble import Assembled, OnlineRows
from serving.process import log as print_line
from serving.served_model import ServedModel

FLUSH_ITEMS = 100_000
FLUSH_SECONDS = 30.0
KEPT_ITEMS = 1_000_000  # candidates in memory, about 100 bytes each
RETRY_SECONDS = 5.0
SHARE_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Served:
    """One answered request. served_at_ms: when the store was read. degraded: "" or what was down."""

    request_id: str
    served_at_ms: int
    model: ServedModel
    rows: OnlineRows
    assembled: Assembled
    degraded: str


class ServedLog:
    """One a process; `add` may be called from any thread. Writers of several processes append to one table.

    Args:
      path: the Delta table, made if absent.
      share: of the requests that are logged, chosen by a hash of their id.
    """

    def __init__(
        self, path: Path, share: float = 1.0, flush_items: int = FLUSH_ITEMS, flush_seconds: float = FLUSH_SECONDS,
        kept_items: int = KEPT_ITEMS, tell: Callable[[str], None] = print_line,
    ) -> None:
        self.path, self.steps, self.tell = path, round(share * SHARE_STEPS), tell
        self.flush_items, self.flush_seconds, self.kept_items = flush_items, flush_seconds, kept_items
        self.waiting: list[Served] = []
        self.items = 0  # candidates that wait or are being appended
        self.changed = threading.Condition()
        self.ending = False
        self.thread = threading.Thread(target=self.work, name="served-log", daemon=True)
        self.requests = Counter("gatesid_served_log_requests", "Requests by what became of their row", ["outcome"],
                                registry=None)

    def add(self, served: Served) -> None:
        """Keep a request for the next append; never waits for the lake."""
        if crc32(served.request_id.encode(errors="replace")) % SHARE_STEPS >= self.steps:
            return
        size = len(served.rows.candidates.item_ids)
        with self.changed:
            if self.ending or self.items + size > self.kept_items:
                self.requests.labels("dropped").inc()
                return
            self.waiting.append(served)
            self.items += size
            if self.items >= self.flush_items:
                self.changed.notify()

    def __enter__(self) -> "ServedLog":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        with self.changed:
            self.ending = True
            self.changed.notify()
        self.thread.join()

    def work(self) -> None:
        """Append until ended; then once more, and give up what the lake still refuses."""
        ended = False
        while not ended:
            with self.changed:
                self.changed.wait_for(lambda: self.ending or self.items >= self.flush_items, self.flush_seconds)
                batch, self.waiting, ended = self.waiting, [], self.ending
            while not self.append(batch):
                if ended:
                    self.settled(batch, "dropped")
                    break
                with self.changed:
                    ended = self.changed.wait_for(lambda: self.ending, RETRY_SECONDS)
                    batch, self.waiting = batch + self.waiting, []

    def append(self, batch: list[Served]) -> bool:
        """One commit; False where the lake does not take it now. What it can never take is dropped, and said."""
        if not batch:
            return True
        try:
            write_deltalake(self.table(), as_table(batch), mode="append")
        except (pa.ArrowException, UnicodeError) as fault:
            self.tell(f"served features: {len(batch):,} requests are no rows of {self.path} ({fault}) and were dropped")
            self.settled(batch, "dropped")
        except (DeltaError, OSError) as fault:
            self.tell(f"served features: {len(batch):,} requests wait, {self.path} takes no rows ({fault}): mend the lake")
            return False
        else:
            self.settled(batch, "logged")
        return True

    def settled(self, batch: list[Served], outcome: str) -> None:
        self.requests.labels(outcome).inc(len(batch))
        with self.changed:
            self.items -= sum(len(served.rows.candidates.item_ids) for served in batch)

    def table(self) -> DeltaTable:
        if not DeltaTable.is_deltatable(str(self.path)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            DeltaTable.create(str(self.path), served_schema(), mode="ignore", partition_by=[DS])
        return DeltaTable(str(self.path))


def as_table(batch: Sequence[Served]) -> pa.Table:
    """Rows of `served_features`."""
    rows = [served.rows for served in batch]
    inputs = [served.assembled.inputs for served in batch]
    stats = [given["item_stats"] for given in inputs]
    columns: dict[str, Any] = {
        REQUEST_ID: [served.request_id for served in batch], USER_ID: [one.user_id for one in rows],
        SERVED_AT: moments([served.served_at_ms for served in batch]), AT: moments([one.at_ms for one in rows]),
        "ranker": [served.model.ranker for served in batch], "model_version": [served.model.version for served in batch],
        CODEBOOK_VERSION: [served.model.codebook_version for served in batch], "contract_hash": [contract_hash()] * len(batch),
        "degraded": [served.degraded for served in batch], "history_version_ms": [one.takes.version_ms for one in rows],
        "taken_item_ids": lists([one.takes.item_ids for one in rows]),
        "taken_at_ms": lists([one.takes.event_times_ms for one in rows]),
        "history_item_ids": lists([one.history.item_ids for one in rows]),
        "history_codes": lists([given["history_codes"][0, :len(one.history.item_ids)]
                                for given, one in zip(inputs, rows, strict=True)]),
        ITEM_IDS: lists([one.candidates.item_ids for one in rows]), ITEM_CODES: lists([given[ITEM_CODES] for given in inputs]),
        ONLINE_DAYS: lists([one[:, 0] for one in stats]), EXPOSURE_7D: lists([one[:, 1] for one in stats]),
        CLICK_7D: lists([one[:, 2] for one in stats]), TICKS_MS: lists([one.candidates.maturity_tick_ms for one in rows]),
        REPEAT_COUNT: lists([given[REPEAT_COUNT] for given in inputs]),
        REPEAT_AGE_DAYS: lists([given[REPEAT_AGE_DAYS] for given in inputs]),
        DEFAULTS: lists([default_names(served.assembled, len(served.rows.candidates.item_ids)) for served in batch]),
        DS: [str(np.datetime64(served.served_at_ms, "ms").astype("datetime64[D]")) for served in batch]}
    schema = served_schema()
    return pa.table([pa.array(columns[field.name], field.type) if isinstance(columns[field.name], list)
                     else columns[field.name].cast(field.type) for field in schema], schema)


def default_names(assembled: Assembled, size: int) -> NDArray[np.object_]:
    """object[C]: the defaults that stand in for each candidate, with commas between."""
    names = np.full(size, "", object)
    for name, mask in assembled.item_defaults.items():
        names[mask] = [f"{before},{name}" if before else name for before in names[mask]]
    return names


def moments(times_ms: list[int]) -> pa.Array:
    return pa.array(times_ms, pa.timestamp("ms", tz="UTC"))


def lists(parts: Sequence[NDArray[Any]]) -> pa.Array:
    """A list column of one-dimensional arrays; of two-dimensional ones, lists of lists."""
    offsets = pa.array(np.cumsum([0, *(len(part) for part in parts)]), pa.int32())
    values = np.concatenate(parts)
    if values.ndim == 2:
        inner = pa.array(np.arange(len(values) + 1) * values.shape[1], pa.int32())
        return pa.ListArray.from_arrays(offsets, pa.ListArray.from_arrays(inner, pa.array(values.ravel())))
    return pa.ListArray.from_arrays(offsets, pa.array(values, pa.string()) if values.dtype == object else pa.array(values))
