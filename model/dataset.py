"""Training rows: one day of `training_frame` as NumPy arrays that follow features/spec.py, then batches.

SIDs are joined here, through the item index, from the model's codebook version (ADR-0002): an array [rows, N] of codes is
gathered with the rows of candidate and history. Nothing loops over rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from numpy.typing import NDArray

from features.errors import ArtefactError, DataError, SchemaError
from features.names import CLICKED, CODEBOOK_VERSION, CODES, DS, ITEM_ID, ORDERED
from features.spec import CODEBOOK_SIZE, FIRST_ROW, HISTORY_LENGTH, MISSING_CODE, NUM_LEVELS, PADDING_ROW

Arrays = dict[str, NDArray]
STATS = ("online_days", "exposure_7d", "click_7d")
CONTEXT = ("user_row", "hour_of_day", "day_of_week", "item_row", "repeat_count", "repeat_age_days")
KEPT_WITH_PREDICTIONS = ("event_id", "user_id", "item_id", "event_time")
COLUMNS = (*KEPT_WITH_PREDICTIONS, DS, CLICKED, ORDERED, *CONTEXT, "history_rows", *STATS)


@dataclass(frozen=True)
class PinnedTable:
    """A Delta table at one version, so that a run that takes minutes reads one state."""

    path: Path
    version: int

    @classmethod
    def at(cls, path: Path, version: int | None = None) -> "PinnedTable":
        """The given version, or the newest one. Raises ArtefactError: there is no table."""
        if not DeltaTable.is_deltatable(str(path)):
            raise ArtefactError(f"no Delta table at {path}: run the job that writes it first")
        return cls(path, DeltaTable(str(path)).version() if version is None else version)

    def read(self, columns: tuple[str, ...], partition: tuple[str, str] | None = None) -> pa.Table:
        """Raises SchemaError: a column is missing, all of them named."""
        table = DeltaTable(str(self.path), version=self.version)
        present = {column.name for column in table.schema().fields}
        missing = [name for name in columns if name not in present]
        if missing:
            raise SchemaError(f"{self.path.name} version {self.version} lacks {', '.join(missing)}: "
                              "features/README.md lists its columns, write it again")
        chosen = None if partition is None else [(partition[0], "=", partition[1])]
        return table.to_pyarrow_table(columns=list(columns), partitions=chosen)


@dataclass(frozen=True)
class Day:
    """One day's rows: RANKING_INPUTS without the codes, labels, and what predictions keep."""

    ds: str
    features: Arrays
    clicked: NDArray[np.int8]
    ordered: NDArray[np.int8]
    kept: pa.Table = field(repr=False)

    def __len__(self) -> int:
        return len(self.clicked)


def days_present(frame: PinnedTable) -> list[str]:
    """The ds that have rows, ascending, from the table's log alone."""
    files = DeltaTable(str(frame.path), version=frame.version).get_add_actions(flatten=True)
    return sorted(set(pa.table(files).column(f"partition.{DS}").to_pylist()))


def table_rows(index: PinnedTable) -> int:
    """Rows an id table needs for this index: its largest row + 1."""
    rows = index.read(("row",)).column("row")
    return max(FIRST_ROW, int(pc.max(rows).as_py() or 0) + 1)


def read_codes(semantic_ids: PinnedTable, item_index: PinnedTable, codebook: str) -> NDArray[np.int32]:
    """Codes by item row, int32[rows, N]; -1 where an item has no SID in this codebook version.

    Raises ArtefactError: no SID of that version; DataError: a SID with another number of levels or a code out of range.
    """
    index = item_index.read((ITEM_ID, "row"))
    sids = semantic_ids.read((ITEM_ID, CODES, "assigned_at"), (CODEBOOK_VERSION, codebook))
    if not sids.num_rows:
        raise ArtefactError(f"no semantic ids of codebook {codebook}: run spark_jobs.sid_assignment --codebook {codebook}")
    # Should an item appear twice, the SID published first stays: it is written last.
    sids = sids.sort_by([("assigned_at", "descending")])
    lengths = pc.unique(pc.list_value_length(sids.column(CODES))).to_pylist()
    if lengths != [NUM_LEVELS]:
        raise DataError(f"a SID must have {NUM_LEVELS} codes, codebook {codebook} has SIDs of {lengths}: assign them again")
    codes = pc.list_flatten(sids.column(CODES)).to_numpy().reshape(-1, NUM_LEVELS).astype(np.int32)
    wrong = (codes < MISSING_CODE) | (codes >= CODEBOOK_SIZE)
    if wrong.any():
        item = sids.column(ITEM_ID)[int(np.flatnonzero(wrong.any(axis=1))[0])]
        raise DataError(f"codes must be -1 or 0..{CODEBOOK_SIZE - 1}, item {item} of codebook {codebook} has others: "
                        "assign its SIDs again")
    place = pc.index_in(sids.column(ITEM_ID), value_set=index.column(ITEM_ID).combine_chunks())
    known = pc.is_valid(place).to_numpy(zero_copy_only=False)
    rows = index.column("row").to_numpy()
    by_row = no_codes(table_rows(item_index))
    by_row[rows[pc.fill_null(place, 0).to_numpy()[known]]] = codes[known]
    return by_row


def no_codes(rows: int) -> NDArray[np.int32]:
    """What a ranker without SIDs, or an item without one, has."""
    return np.full((rows, NUM_LEVELS), MISSING_CODE, np.int32)


def read_day(frame: PinnedTable, ds: str) -> Day:
    """The rows of one ds, in the order of their event_id, which no rewrite of the table changes.

    Raises DataError: no rows of that day, labels that are not 0 or 1, an order without its click, or a number that is not
    finite; every fault is listed.
    """
    rows = frame.read(COLUMNS, (DS, ds))
    if not rows.num_rows:
        raise DataError(f"training_frame has no rows of {ds}: run spark_jobs.training_frame for that day")
    rows = rows.sort_by("event_id").combine_chunks()
    number = {name: rows.column(name).to_numpy() for name in (*CONTEXT, *STATS)}
    # A data set without orders has null there; a click is always known, so that null is no label.
    clicked, ordered = (pc.fill_null(rows.column(name), unknown).to_numpy().astype(np.int8)
                        for name, unknown in ((CLICKED, -1), (ORDERED, 0)))
    check_day(ds, number, clicked, ordered)
    features = {name: number[name].astype(np.float32 if name.startswith("repeat") else np.int32) for name in CONTEXT}
    features["item_stats"] = np.stack([number[name] for name in STATS], axis=1).astype(np.float32)
    features["history_rows"] = padded(rows.column("history_rows"))
    return Day(ds, features, clicked, ordered, rows.select([*KEPT_WITH_PREDICTIONS, CLICKED, ORDERED, *STATS]))


def check_day(ds: str, number: Arrays, clicked: NDArray, ordered: NDArray) -> None:
    faults = [f"{name} has {bad} values that are not finite numbers" for name, values in number.items()
              if (bad := int((~np.isfinite(values.astype(np.float64))).sum()))]
    faults += [f"{name} must be 0 or 1" for name, values in ((CLICKED, clicked), (ORDERED, ordered))
               if not np.isin(values, (0, 1)).all()]
    if contradicting := int((ordered > clicked).sum()):
        faults.append(f"{contradicting} rows have an order without its click")
    if faults:
        raise DataError(f"training_frame of {ds}: {'; '.join(faults)}. Repair the day and write it again")


def padded(lists: pa.ChunkedArray, length: int = HISTORY_LENGTH) -> NDArray[np.int32]:
    """A list column as int32[n, length]: the first `length` of each list, then padding rows."""
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    offsets = np.asarray(lists.offsets, np.int64)
    counts = np.minimum(np.diff(offsets), length)
    values = np.append(lists.values.to_numpy(zero_copy_only=False), PADDING_ROW)
    position = np.arange(length)
    real = position < counts[:, np.newaxis]
    return values[np.where(real, offsets[:-1, np.newaxis] + position, len(values) - 1)].astype(np.int32)


def batches(
    day: Day, codes: NDArray[np.int32], size: int, seed: int | None = None,
) -> Iterator[tuple[Arrays, NDArray[np.int64]]]:
    """(RANKING_INPUTS of some rows, which rows), in order, or shuffled by (seed, day) where a seed is given."""
    order = np.arange(len(day))
    if seed is not None:
        np.random.default_rng([seed, int(day.ds.replace("-", ""))]).shuffle(order)
    for start in range(0, len(order), size):
        rows = order[start:start + size]
        features = {name: values[rows] for name, values in day.features.items()}
        yield with_codes(features, codes), rows


def with_codes(features: Arrays, codes: NDArray[np.int32]) -> Arrays:
    """Add the SIDs of candidate and history; a row beyond the index has none. Columns after the N levels are OPQ codes."""
    found = {side: codes[np.where(features[rows] < len(codes), features[rows], PADDING_ROW)]
             for side, rows in (("item", "item_row"), ("history", "history_rows"))}
    added = {f"{side}_codes": given[..., :NUM_LEVELS] for side, given in found.items()}
    if codes.shape[1] > NUM_LEVELS:
        added |= {f"{side}_opq_codes": given[..., NUM_LEVELS:] for side, given in found.items()}
    return features | added
