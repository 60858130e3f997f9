"""Delta tables as the stream appends to them: the contract's columns, and commits that carry how far the log was read.

A commit names application transactions, `<who>/<topic>/<partition>` → a number that only grows. Delta does not refuse a
number that was used: whoever appends first reads the number on the same handle, and the commit fails if another writer
raised it since.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from features.errors import SchemaError
from features.events import TIMESTAMP, Column
from features.names import CLICK_7D, DS, EXPOSURE_7D, ITEM_ID, TICK

COMPACT_EVERY_S = 1_800.0
ARROW = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), TIMESTAMP: pa.timestamp("us", tz="UTC"),
         "list<element: float>": pa.list_(pa.field("element", pa.float32()))}
MATURITY_COLUMNS = (
    Column(ITEM_ID, "string", False, "", "i42"),
    Column(TICK, TIMESTAMP, False, "as of when", "2026-01-01T00:00:10Z"),
    Column(EXPOSURE_7D, "int64", False, "impressions in the window", 17),
    Column(CLICK_7D, "int64", False, "clicks in the window", 3),
    Column(DS, "string", False, "UTC day of the tick; the partition column", "2026-01-01"),
)


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([pa.field(column.name, ARROW[column.type], column.nullable) for column in columns])


class LakeTable:
    """One table, and what this process knows of its newest version."""

    def __init__(self, path: Path, columns: Sequence[Column], partition_by: Sequence[str] = ()) -> None:
        self.path = path
        self.schema = arrow_schema(columns)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not DeltaTable.is_deltatable(str(path)):
            DeltaTable.create(str(path), self.schema, mode="ignore", partition_by=list(partition_by))
        self.table = DeltaTable(str(path))
        self.small: set[str] = set()  # the days that were appended to since they were compacted
        self.compacted = time.monotonic()
        found = pa.schema(self.table.schema().to_arrow())
        if found.names != self.schema.names:
            raise SchemaError(f"the lake's table {path} has the columns {found.names}, expected {self.schema.names}: move "
                              "it away")

    def refresh(self) -> None:
        self.table.update_incremental()

    def transaction(self, app: str) -> int | None:
        return self.table.transaction_version(app)

    def append(self, rows: pa.Table, transactions: Mapping[str, int]) -> bool:
        """Commit rows and numbers; False if another writer raised one of the numbers (look again, then decide)."""
        properties = CommitProperties(app_transactions=[Transaction(app, number) for app, number in transactions.items()])
        try:
            write_deltalake(self.table, rows, mode="append", commit_properties=properties)
        except CommitFailedError:
            self.refresh()
            return False
        if DS in rows.column_names:
            self.small.update(rows[DS].unique().to_pylist())
        return True

    def tidy(self) -> None:
        """Now and then rewrite the small files of the days appended to as few large ones. Readers see the old or the new."""
        if time.monotonic() - self.compacted < COMPACT_EVERY_S:
            return
        self.compacted = time.monotonic()
        for day in sorted(self.small):
            with suppress(CommitFailedError):  # another consumer was as tidy
                self.table.optimize.compact(partition_filters=[(DS, "=", day)])
            self.refresh()
        self.small.clear()

    def rows(self, columns: Mapping[str, Any]) -> pa.Table:
        """A table of this schema from columns by name."""
        return pa.Table.from_arrays([as_arrow(columns[f.name], f.type) for f in self.schema], schema=self.schema)


def as_arrow(values: Any, kind: pa.DataType) -> pa.Array:
    """Timestamps are given in milliseconds."""
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.timestamp("ms", tz="UTC")).cast(kind)
    return pa.array(values, kind)


def day_of(times_ms: Any) -> pa.Array:
    """The UTC day "YYYY-MM-DD" of each time."""
    days, which = np.unique(times_ms.astype("datetime64[ms]").astype("datetime64[D]"), return_inverse=True)
    return pa.array(days.astype(str).astype(object)[which].tolist(), pa.string())


def read_transaction(path: Path, app: str) -> int | None:
    """A number from the newest version of a table; None where table or number is missing."""
    try:
        return DeltaTable(str(path)).transaction_version(app)
    except TableNotFoundError:
        return None
