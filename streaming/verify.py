"""Is every row that the stream published the row that Spark rebuilds from the raw log, and the other way round?"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from features.clock import days_between
from features.errors import ArtefactError
from features.names import CLICK_7D, DS, EXPOSURE_7D, ITEM_ID, TABLE_MATURITY_LOG, TABLE_MATURITY_REBUILT, TICK
from streaming.config import StreamConfig

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
    return table.to_pyarrow_table(partitions=[(DS, "in", days)], columns=COLUMNS).combine_chunks()


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
