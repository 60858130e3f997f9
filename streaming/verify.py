"""Is every row that the stream published the row that Spark rebuilds from the raw log, and the other way round?"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from features.clock import day_start_ms, days_between, from_ms
from features.errors import ArtefactError, EnvironmentFault
from features.names import CLICK_7D, DS, EXPOSURE_7D, ITEM_ID, TABLE_MATURITY_LOG, TABLE_MATURITY_REBUILT, TICK
from streaming.config import StreamConfig
from streaming.outbox import decode_entry
from streaming.state_store import StateStore

COLUMNS = [ITEM_ID, TICK, EXPOSURE_7D, CLICK_7D]
SAMPLES = 10


@dataclass
class Verdict:
    streamed: int
    rebuilt: int
    only_streamed: pa.Table
    only_rebuilt: pa.Table
    repeated: int  # (item, tick) more than once in the log

    @property
    def differing(self) -> int:
        return int(self.only_streamed.num_rows + self.only_rebuilt.num_rows + self.repeated)

    def lines(self) -> list[str]:
        told = [f"{self.streamed:,} rows streamed, {self.rebuilt:,} rebuilt, {self.differing:,} differing"]
        for name, rows in (("only in the stream", self.only_streamed), ("only in the rebuild", self.only_rebuilt)):
            told += [f"  {name}: {row[ITEM_ID]} at {row[TICK]:%Y-%m-%d %H:%M:%SZ}: {row[EXPOSURE_7D]} impressions, "
                     f"{row[CLICK_7D]} clicks"
                     for row in rows.sort_by([(TICK, "ascending"), (ITEM_ID, "ascending")]).slice(0, SAMPLES).to_pylist()]
        if self.repeated:
            told.append(f"  {self.repeated:,} rows stand twice in {TABLE_MATURITY_LOG}")
        return told


def read_days(path: Path, days: list[str], writer: str) -> pa.Table:
    """Raises ArtefactError: no such table."""
    try:
        table = DeltaTable(str(path))
    except TableNotFoundError:
        raise ArtefactError(f"no table {path}: run {writer} first") from None
    return table.to_pyarrow_table(filters=[(DS, "in", days)], columns=COLUMNS).combine_chunks()


def require_published(config: StreamConfig, store: StateStore, as_of: date) -> None:
    """Raises EnvironmentFault, naming the partitions: not every row of the ticks before `as_of` has been published yet."""
    last_ms = day_start_ms(as_of) - config.interval_ms
    behind = [f"p{p} {what}" for p in range(config.partitions) if (what := what_lacks(store, p, last_ms)) is not None]
    if behind:
        raise EnvironmentFault(f"not compared: the stream has not come as far as {as_of} ({'; '.join(behind)}). Wait for the "
                               "maturity consumer, or start it (`python -m streaming status` says where it is)")


def what_lacks(store: StateStore, partition: int, last_ms: int) -> str | None:
    """What a partition still owes of the ticks up to `last_ms`; None if it is nothing."""
    at = store.position(partition)
    if at is None:
        return "has no state"
    if at.tick_ms < last_ms:
        return f"has come to {from_ms(at.tick_ms):%Y-%m-%d %H:%M:%SZ}"
    ticks = [decode_entry(value).rows.tick_ms for value in store.outbox(partition).values()]
    waiting = sum(int((tick_ms <= last_ms).sum()) for tick_ms in ticks)
    return f"has {waiting:,} rows still to push" if waiting else None


def verify(config: StreamConfig, start: date, as_of: date) -> Verdict:
    """Compare the rows of the ticks in [start, as_of), row by row."""
    days = days_between(start, as_of)
    streamed = read_days(config.layout.table(TABLE_MATURITY_LOG), days, "`python -m streaming run --role maturity`")
    rebuilt = read_days(config.layout.table(TABLE_MATURITY_REBUILT), days, f"`python -m spark_jobs.item_stats --from "
                                                                           f"{start} --as-of {as_of}`")
    return compare(streamed, rebuilt)


def compare(streamed: pa.Table, rebuilt: pa.Table) -> Verdict:
    only_streamed = streamed.join(rebuilt, COLUMNS, join_type="left anti")
    only_rebuilt = rebuilt.join(streamed, COLUMNS, join_type="left anti")
    counts = streamed.group_by([ITEM_ID, TICK]).aggregate([(EXPOSURE_7D, "count")])[f"{EXPOSURE_7D}_count"]
    repeated = (pc.sum(counts).as_py() or 0) - len(counts)
    return Verdict(streamed.num_rows, rebuilt.num_rows, only_streamed, only_rebuilt, repeated)
