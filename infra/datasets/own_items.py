"""Your item rows: what is wrong with each, and the good ones in the contract's columns."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.catalogue import MAX_TITLE_LENGTH
from features.clock import Clock, to_ms
from features.events import MAX_ID_LENGTH
from features.windows import MAX_FUTURE_MS
from infra.datasets.catalogue import attributes_text, text_of
from infra.datasets.faults import Faults
from infra.datasets.mapping import ItemColumns
from infra.datasets.own_events import EARLIEST_MS, too_long
from infra.datasets.own_files import NO_TIME, as_text, as_times, as_vectors
from infra.datasets.prepared import ITEMS

UNDATED = -1


def check_items(faults: Faults, columns: ItemColumns, clock: Clock) -> tuple[pa.Table, dict[str, int]]:
    """The good rows; published_at_ms is UNDATED where none is given. Rejections and warnings go into `faults`."""
    table, rows = faults.table, len(faults.row)
    ids = as_text(table[columns.item_id])
    faults.reject("null item_id", ids.is_null().to_numpy())
    faults.reject(f"item_id longer than {MAX_ID_LENGTH} characters", too_long(ids))
    title = joined([as_text(table[name]) for name in columns.title if name in table.column_names], rows)
    published_ms, warnings = np.full(rows, UNDATED, np.int64), {}
    if columns.published_at in table.column_names:
        times = as_times(table[columns.published_at], columns.time_unit)
        known = times.ms != NO_TIME
        faults.reject("unreadable published_at", times.unreadable)
        faults.reject("published_at before 2000-01-01 (is time_unit right?)", known & (times.ms < EARLIEST_MS))
        faults.warn("published_at in the future: online from then on", known & (times.ms > to_ms(clock.now()) + MAX_FUTURE_MS))
        published_ms = np.where(known, times.ms, UNDATED)
        if times.naive:
            warnings["published_at without an offset taken as UTC"] = times.naive
    attributes, odd = read_attributes(table, columns, rows)
    faults.reject("attributes are not a JSON object", odd)
    vectors, unfit = read_vectors(table, columns, rows)
    faults.reject("vector is not a list of finite numbers of the commonest length", unfit)
    good_ids = pd.Series(ids.to_pandas()).where(~faults.bad)
    faults.reject("repeated item_id (the first row is kept)", (good_ids.duplicated() & good_ids.notna()).to_numpy())
    no_text = title.is_null().to_numpy(zero_copy_only=False)
    faults.warn("item without text: kept, known by its attributes or vector if it has any", no_text & ~faults.bad)
    good = np.flatnonzero(~faults.bad)
    return pa.Table.from_arrays([
        ids.take(good).combine_chunks(), title.take(good), attributes.take(good),
        pa.array(published_ms[good]), pa.array([vectors[at] for at in good], ITEMS.field("vector").type)],
        schema=ITEMS), warnings


def joined(parts: list[pa.ChunkedArray], rows: int) -> pa.Array:
    """The texts that are there, with " | " between; null where none is."""
    texts = zip(*(part.to_pylist() for part in parts), strict=True) if parts else iter([()] * rows)
    return pa.array([" | ".join(one for one in row if one is not None)[:MAX_TITLE_LENGTH] or None for row in texts],
                    pa.string())


def read_attributes(table: pa.Table, columns: ItemColumns, rows: int) -> tuple[pa.Array, np.ndarray]:
    """JSON texts, and which rows hold something else than an object."""
    if isinstance(columns.attributes, tuple):
        named = pd.DataFrame({name: as_scalars(table[name]) for name in columns.attributes}, index=range(rows), dtype=object)
        return attributes_text(named), np.zeros(rows, bool)
    if columns.attributes not in table.column_names:
        return pa.nulls(rows, pa.string()), np.zeros(rows, bool)
    read = [as_object(value) for value in table[columns.attributes].to_pylist()]
    odd = np.array([one is False for one in read], bool)
    texts = [text_of(one) if isinstance(one, dict) else None for one in read]
    return pa.array(texts, pa.string()), odd


def as_object(value: Any) -> dict[str, str] | None | bool:
    """An object of strings, None for nothing, False for anything else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        read = json.loads(value) if isinstance(value, str) else dict(value)
    except (ValueError, TypeError):
        return False
    if not isinstance(read, dict):
        return False
    return {name: as_word(one) for name, one in sorted(read.items()) if one is not None and one != ""}


def as_word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(as_word(one) for one in value)
    return json.dumps(value, default=str, sort_keys=True) if isinstance(value, dict) else str(value)


def as_scalars(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None or value == "" else as_word(value) for value in column.to_pylist()]


def read_vectors(table: pa.Table, columns: ItemColumns, rows: int) -> tuple[list[Any], np.ndarray]:
    """Vectors or None, and which rows hold none that fits: unreadable, not finite, or of an uncommon length."""
    if columns.vector not in table.column_names:
        return [None] * rows, np.zeros(rows, bool)
    read = as_vectors(table[columns.vector])
    lengths = [len(one) for one in read if isinstance(one, list)]
    common = int(np.bincount(lengths).argmax()) if lengths else 0
    unfit = [one is not None and (isinstance(one, str) or len(one) != common or not one or not all(map(math.isfinite, one)))
             for one in read]
    return [None if bad else one for one, bad in zip(read, unfit, strict=True)], np.array(unfit, bool)
