"""Prepared history into the lake: `events` a day a commit, `items` in one; running it again changes nothing.

Each commit carries the application transaction `history:<ds>`, so a day is in the lake wholly or not at all, once, also
when the load is killed between two days. The transaction `history` says whose history the lake holds: two data sets do
not mix in one lake. Kafka's consumer appends to the same tables; an event that it brought already is left out here.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from features.catalogue import ITEM_COLUMNS
from features.clock import day_start_ms, days_between
from features.errors import ArtefactError, DataError, SchemaError
from features.events import EVENT_COLUMNS, TIMESTAMP, Column
from features.layout import Layout
from features.names import DS, EVENT_ID, ITEM_ID, TABLE_EVENTS, TABLE_ITEMS
from infra.datasets.prepared import Prepared, read_prepared, schema_faults

SOURCE, PARTITION = "history", -1
OWNER = "history"
ATTEMPTS = 5
ARROW = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), TIMESTAMP: pa.timestamp("us", tz="UTC"),
         "list<element: float>": pa.list_(pa.field("element", pa.float32()))}


@dataclass
class Loaded:
    """What one load did."""

    events: int = 0
    items: int = 0
    days: list[str] = field(default_factory=list)
    days_present: list[str] = field(default_factory=list)
    days_from_another_preparation: list[str] = field(default_factory=list)
    days_without_events: list[str] = field(default_factory=list)
    left_out: int = 0
    events_version: int = -1
    items_version: int = -1
    seconds: float = 0.0

    def lines(self) -> list[str]:
        told = [f"loaded {self.events:,} events of {len(self.days)} days and {self.items:,} items in {self.seconds:.1f} s "
                f"(events version {self.events_version}, items version {self.items_version})"]
        if self.days_present:
            told.append(f"{len(self.days_present)} days were in the lake already and were left as they are")
        if self.days_from_another_preparation:
            told.append(f"{len(self.days_from_another_preparation)} of them from another preparation of this data set "
                        f"({', '.join(self.days_from_another_preparation[:3])} …): to have the new one, empty the lake")
        if self.days_without_events:
            told.append(f"no events on {', '.join(self.days_without_events)}")
        if self.left_out:
            told.append(f"{self.left_out:,} events left out: Kafka brought them already")
        return told


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(column.name, ARROW[column.type], column.nullable) for column in columns])


def load(layout: Layout, name: str, start: date, as_of: date, after_commit: Callable[[str], None] | None = None) -> Loaded:
    """Append the days of [start, as_of) and the items published before as_of.

    `after_commit` is called with the name of each thing just committed ("items", then each ds).
    Raises ArtefactError: no such data set, or the lake holds another one's history. DataError: none of the days are in the
    data set. SchemaError: the prepared files or the lake's tables do not have the contract's columns.
    """
    began = time.monotonic()
    prepared = read_prepared(layout, name)
    first, last = prepared.manifest["first_day"], prepared.manifest["last_day"]
    wanted = [ds for ds in days_between(start, as_of) if first <= ds <= last]
    if not wanted:
        raise DataError(f"data set {name} has {first} to {last}, asked for {start} to {as_of} (excluded): choose days that it "
                        f"has, or run `python -m infra.datasets prepare {name}` again (its last day is yesterday's date then)")
    events = open_table(layout.table(TABLE_EVENTS), EVENT_COLUMNS, [DS])
    items = open_table(layout.table(TABLE_ITEMS), ITEM_COLUMNS, [])
    check_owner(events, name)
    loaded = Loaded()
    load_items(items, prepared, day_start_ms(as_of), loaded)
    tell = after_commit or (lambda _: None)
    tell("items")
    for ds in wanted:
        load_day(events, prepared, ds, loaded)
        tell(ds)
    loaded.events_version, loaded.items_version = events.version(), items.version()
    loaded.seconds = time.monotonic() - began
    return loaded


def open_table(path: Path, columns: tuple[Column, ...], partition_by: list[str]) -> DeltaTable:
    """The table, made if absent. Raises SchemaError: it exists with other columns."""
    schema = arrow_schema(columns)
    if not DeltaTable.is_deltatable(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(str(path), schema, mode="ignore", partition_by=partition_by)
    table = DeltaTable(str(path))
    if faults := schema_faults(pa.schema(table.schema().to_arrow()), schema):
        raise SchemaError(f"the lake's table {path} does not fit the contract: {'; '.join(faults)}; move it away, load again")
    return table


def check_owner(events: DeltaTable, name: str) -> None:
    held = events.transaction_version(OWNER)
    if held is not None and held != number_of(name):
        named = next((entry.get("dataset") for entry in events.history() if entry.get("dataset")), "another data set")
        raise ArtefactError(f"the lake {events.table_uri} holds the history of {named}, asked to load {name}: two data sets do "
                            "not mix; set GATESID_HOME to another folder, or remove this lake")


def number_of(text: str) -> int:
    """A transaction's version is an integer: 60 bits of the text's hash."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)


def load_day(events: DeltaTable, prepared: Prepared, ds: str, loaded: Loaded) -> None:
    file = prepared.day_file(ds)
    if file is None:
        loaded.days_without_events.append(ds)
        return
    app, version = f"{OWNER}:{ds}", number_of(prepared.manifest["files"][f"events/{ds}.parquet"]["sha256"])
    for _ in range(ATTEMPTS):
        held = events.transaction_version(app)
        if held is not None:
            loaded.days_present.append(ds)
            if held != version:
                loaded.days_from_another_preparation.append(ds)
            return
        rows = lake_events(pq.read_table(file), ds)
        new = without_known(rows, events, ds)
        if commit(events, new, [Transaction(OWNER, number_of(prepared.name)), Transaction(app, version)], prepared.name):
            loaded.days.append(ds)
            loaded.events += new.num_rows
            loaded.left_out += rows.num_rows - new.num_rows
            return
    raise DataError(f"{ds} was not loaded: {ATTEMPTS} commits met other writers of {events.table_uri}; run the load again")


def commit(table: DeltaTable, rows: pa.Table, transactions: list[Transaction], dataset: str) -> bool:
    """Append; False when another writer came between (the handle is brought up to date, so look again)."""
    properties = CommitProperties(app_transactions=transactions, custom_metadata={"dataset": dataset})
    try:
        # On the handle itself: giving the path would drop the check against what the handle has seen.
        write_deltalake(table, rows, mode="append", commit_properties=properties)
    except CommitFailedError:
        table.update_incremental()
        return False
    return True


def without_known(rows: pa.Table, events: DeltaTable, ds: str) -> pa.Table:
    if {DS: ds} not in events.partitions():
        return rows
    known = events.to_pyarrow_table(partitions=[(DS, "=", ds)], columns=[EVENT_ID])[EVENT_ID]
    return rows.filter(pc.invert(pc.is_in(rows[EVENT_ID], value_set=known.combine_chunks())))


def lake_events(prepared: pa.Table, ds: str) -> pa.Table:
    count = prepared.num_rows
    shared = [column.name for column in EVENT_COLUMNS if column.name in prepared.column_names]
    columns: dict[str, Any] = {name: prepared[name] for name in shared}
    columns |= {"event_time": moment(prepared["event_time_ms"]), "ingest_time": moment(prepared["ingest_time_ms"]),
                **stands_at(np.arange(count)), DS: pa.array([ds]).take(np.zeros(count, np.int64))}
    schema = arrow_schema(EVENT_COLUMNS)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def load_items(items: DeltaTable, prepared: Prepared, before_ms: int, loaded: Loaded) -> None:
    """Items published before the bound that the lake does not have; what it has was published then and stays."""
    table = pq.read_table(prepared.items_file)
    position = np.arange(table.num_rows)
    for _ in range(ATTEMPTS):
        known = items.to_pyarrow_table(columns=[ITEM_ID])[ITEM_ID].combine_chunks()
        wanted = pc.and_(pc.less(table["published_at_ms"], before_ms), pc.invert(pc.is_in(table[ITEM_ID], value_set=known)))
        chosen = table.filter(wanted)
        if not chosen.num_rows:
            return
        published = moment(chosen["published_at_ms"])
        columns = {name: chosen[name] for name in (ITEM_ID, "title", "attributes", "vector")}
        columns |= {"published_at": published, "ingest_time": published, **stands_at(position[wanted.to_numpy()])}
        schema = arrow_schema(ITEM_COLUMNS)
        rows = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
        if commit(items, rows, [Transaction(OWNER, number_of(prepared.name))], prepared.name):
            loaded.items = rows.num_rows
            return
    raise DataError(f"items were not loaded: {ATTEMPTS} commits met other writers of {items.table_uri}; run the load again")


def moment(ms: pa.ChunkedArray) -> pa.ChunkedArray:
    return ms.cast(pa.timestamp("ms", tz="UTC")).cast(ARROW[TIMESTAMP])


def stands_at(position: np.ndarray) -> dict[str, pa.Array]:
    """Where history stood: partition -1, the row's number in the day's file (events) or in items.parquet."""
    count = len(position)
    return {"source": pa.array([SOURCE]).take(np.zeros(count, np.int64)),
            "partition": pa.array(np.full(count, PARTITION, np.int32)),
            "offset": pa.array(position.astype(np.int64))}
