"""A prepared data set, `data/<name>/`: what is in it, how it is published, and how it is read back.

    events/<ds>.parquet   EVENTS below, one file a UTC day of ingest_time, rows in ingest order
    items.parquet         ITEMS below, one row an item, ordered by published_at
    manifest.json         labels, rows, days, what was rejected, where the data come from

A data set is an immutable folder under `data/.versions/`; `data/<name>` is a link to it that one rename replaces, so a
reader meets the old data set or the new one, never a mixture. The version before the current one is kept for readers
that are still in it.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.artefacts import new_artefact, read_manifest
from features.clock import MS_PER_DAY
from features.errors import ArtefactError, DataError, SchemaError
from features.events import EVENT_TYPES
from features.layout import Layout

KIND = "dataset"


def required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


EVENTS = pa.schema([
    required("event_id", pa.string()), required("event_type", pa.string()), required("user_id", pa.string()),
    required("item_id", pa.string()), required("event_time_ms", pa.int64()), required("ingest_time_ms", pa.int64()),
    pa.field("request_id", pa.string()), pa.field("context", pa.string()),
])
ITEMS = pa.schema([
    required("item_id", pa.string()), pa.field("title", pa.string()), pa.field("attributes", pa.string()),
    required("published_at_ms", pa.int64()), pa.field("vector", pa.list_(pa.field("element", pa.float32()))),
])


class EventFiles:
    """Writes events/<ds>.parquet from tables that come in ingest order; a table may span days, a day may span tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "events"
        self.folder.mkdir()
        self.rows: Counter[str] = Counter(dict.fromkeys(EVENT_TYPES, 0))
        self.rows_by_day: Counter[str] = Counter()
        self.users: set[str] = set()
        self.newest_ms = -1
        self.writer: pq.ParquetWriter | None = None
        self.ds = ""

    def write(self, table: pa.Table) -> None:
        """Append rows. Raises ValueError: they are not in ingest order, or go back behind what is written."""
        if not table.num_rows:
            return
        table = table.select(EVENTS.names).cast(EVENTS)
        ingest_ms = table["ingest_time_ms"].to_numpy()
        if ingest_ms[0] < self.newest_ms or (np.diff(ingest_ms) < 0).any():
            raise ValueError("rows must be written in the order of ingest_time_ms: sort the table, and the tables among them")
        self.newest_ms = int(ingest_ms[-1])
        day = ingest_ms // MS_PER_DAY
        cuts = [0, *(np.flatnonzero(np.diff(day)) + 1).tolist(), len(day)]
        for start, end in zip(cuts, cuts[1:], strict=False):
            self.write_day((date(1970, 1, 1) + timedelta(days=int(day[start]))).isoformat(), table.slice(start, end - start))
        for entry in pc.value_counts(table["event_type"]).to_pylist():
            self.rows[entry["values"]] += entry["counts"]
        self.users.update(pc.unique(table["user_id"]).to_pylist())

    def write_day(self, ds: str, rows: pa.Table) -> None:
        if ds != self.ds:
            self.close()
            self.ds = ds
            self.writer = pq.ParquetWriter(self.folder / f"{ds}.parquet", EVENTS, compression="zstd")
        assert self.writer is not None
        self.writer.write_table(rows)
        self.rows_by_day[ds] += rows.num_rows

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def summary(self) -> dict[str, Any]:
        """What the manifest says of the events. Raises DataError: there are none."""
        if not self.rows_by_day:
            raise DataError("no event is left after rejecting the bad ones: nothing to prepare; see the reasons above")
        days = sorted(self.rows_by_day)
        span = (date.fromisoformat(days[-1]) - date.fromisoformat(days[0])).days + 1
        return {
            "rows": dict(self.rows), "users": len(self.users), "first_day": days[0], "last_day": days[-1], "days": span,
            "as_of": (date.fromisoformat(days[-1]) + timedelta(days=1)).isoformat(),
            "rows_by_day": dict(sorted(self.rows_by_day.items())),
        }


def write_items(folder: Path, items: pa.Table) -> int:
    """Write items.parquet in the order of published_at and item_id; returns the rows. Raises ValueError: a repeated id."""
    items = items.select(ITEMS.names).cast(ITEMS).sort_by([("published_at_ms", "ascending"), ("item_id", "ascending")])
    if pc.count_distinct(items["item_id"]).as_py() != items.num_rows:
        raise ValueError("item_id must be unique in a prepared catalogue: keep one row an item")
    pq.write_table(items, folder / "items.parquet", compression="zstd")
    return items.num_rows


def publish(layout: Layout, name: str, made_from: dict[str, Any], fill: Callable[[Path], dict[str, Any]]) -> tuple[Path, bool]:
    """Make data/<name> unless it is there already, made from the same inputs.

    Args:
      made_from: what the content is a function of (source sha256, options, anchor day); the code's hash is added.
      fill: writes events and items into the folder it gets and returns the manifest's entries.
    Returns:
      (data/<name>, whether it was made now).
    Raises ArtefactError: the disk failed (nothing is published), or the place is taken by something else.
    """
    target = layout.dataset(name)
    made_from = json.loads(json.dumps({**made_from, "code": code_hash()}, default=str))
    if target.is_symlink() and is_whole(target) and read_manifest(target)["made_from"] == made_from:
        return target, False
    if target.exists() and not target.is_symlink():
        raise ArtefactError(f"{target} is not a link that this command made: move it away or choose another --out name")
    key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]
    version = target.parent / ".versions" / f"{name}-{key}"
    if not is_whole(version):
        shutil.rmtree(version, ignore_errors=True)
        with new_artefact(version, kind=KIND, name=name, made_from=made_from, schema_hash=schema_hash()) as draft:
            draft.manifest.update(fill(draft.path))
    before = target.resolve()
    point(target, version)
    for old in version.parent.glob(f"{name}-{'?' * 12}"):
        if old.resolve() not in (version.resolve(), before):
            shutil.rmtree(old, ignore_errors=True)
    return target, True


def point(target: Path, version: Path) -> None:
    """Make `target` a link to the version by one rename. Raises ArtefactError: the disk failed."""
    link = target.parent / f".{target.name}.link-{os.getpid()}"
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(version.relative_to(target.parent))
        os.replace(link, target)
    except OSError as fault:
        raise ArtefactError(f"data set {target} was not published, nothing changed: {fault}") from fault


def is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder, kind=KIND)
    except ArtefactError:
        return False
    return True


def code_hash() -> str:
    """Of this room's own sources: other code makes another data set."""
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()[:12]


def schema_hash() -> str:
    return hashlib.sha256(f"{EVENTS}\n{ITEMS}".encode()).hexdigest()[:12]


class Prepared(NamedTuple):
    name: str
    folder: Path
    manifest: dict[str, Any]

    def day_file(self, ds: str) -> Path | None:
        """The day's events; None for a day without any."""
        path = self.folder / "events" / f"{ds}.parquet"
        return path if path.is_file() else None

    @property
    def items_file(self) -> Path:
        return self.folder / "items.parquet"


def read_prepared(layout: Layout, name: str) -> Prepared:
    """Open data/<name>. Raises ArtefactError: absent, half-written or altered. SchemaError: every file that does not fit."""
    folder = layout.dataset(name).resolve()
    if not folder.is_dir():
        raise ArtefactError(f"no data set at {layout.dataset(name)}: run `python -m infra.datasets prepare {name}` first")
    manifest = read_manifest(folder, kind=KIND)
    faults = [f"{file.relative_to(folder)}: {fault}" for file, schema in (
        (folder / "items.parquet", ITEMS), *((file, EVENTS) for file in sorted((folder / "events").glob("*.parquet"))))
        for fault in schema_faults(pq.read_schema(file), schema)]
    if faults:
        raise SchemaError(f"data set {name} does not have the contract's columns: " + "; ".join(faults[:20])
                          + ". Prepare it again")
    return Prepared(name, folder, manifest)


def schema_faults(found: pa.Schema, expected: pa.Schema) -> list[str]:
    faults = [f"column {field.name} is missing" for field in expected if field.name not in found.names]
    return faults + [f"column {field.name} is {found.field(field.name).type}, expected {field.type}" for field in expected
                     if field.name in found.names and found.field(field.name).type != field.type]
