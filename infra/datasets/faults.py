"""What was found wrong in one of your files: rejected rows with their reasons, warnings, samples; and how it is told."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SAMPLES = 3
REJECTS = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reasons", pa.string()), ("record", pa.string())])


@dataclass
class Faults:
    """The faults of one file. `row`: the number of each row in its file, the first data row being 1."""

    file: str
    table: pa.Table
    row: NDArray[np.int64]
    broken: list[tuple[int, str]] = field(default_factory=list)
    rejected: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    warned: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def reject(self, reason: str, rows: NDArray[np.bool_]) -> None:
        self.rejected[reason] = np.asarray(rows, bool)

    def warn(self, reason: str, rows: NDArray[np.bool_]) -> None:
        self.warned[reason] = np.asarray(rows, bool)

    @property
    def bad(self) -> NDArray[np.bool_]:
        bad = np.zeros(len(self.row), bool)
        for rows in self.rejected.values():
            bad |= rows
        return bad

    def counts(self) -> dict[str, int]:
        told = {reason: int(rows.sum()) for reason, rows in self.rejected.items() if rows.any()}
        return told | ({"not a row: another number of fields than the header": len(self.broken)} if self.broken else {})

    def warnings(self) -> dict[str, int]:
        return {reason: int(rows.sum()) for reason, rows in self.warned.items() if rows.any()}

    def lines(self) -> list[str]:
        """Every reason with its count and sample rows."""
        told = [f"{self.file}: {len(self.row) + len(self.broken):,} rows, {int(self.bad.sum()) + len(self.broken):,} rejected"]
        for title, found in (("rejected", self.rejected), ("warning", self.warned)):
            for reason, rows in found.items():
                if rows.any():
                    told.append(f"  {title}: {reason}: {int(rows.sum()):,} rows")
                    told += [f"    row {self.row[at]}: {self.record(at)}" for at in np.flatnonzero(rows)[:SAMPLES]]
        if self.broken:
            told.append(f"  rejected: another number of fields than the header: {len(self.broken):,} rows")
            told += [f"    row {number}: {text[:200]}" for number, text in self.broken[:SAMPLES]]
        return told

    def record(self, at: int) -> str:
        return json.dumps(self.table.slice(int(at), 1).to_pylist()[0], default=str, ensure_ascii=False)[:2000]

    def rejects(self) -> pa.Table:
        at = np.flatnonzero(self.bad)
        reasons = ["; ".join(reason for reason, rows in self.rejected.items() if rows[row]) for row in at]
        records: list[Any] = [json.dumps(row, default=str, ensure_ascii=False) for row in self.table.take(at).to_pylist()]
        numbers = self.row[at].tolist() + [number for number, _ in self.broken]
        reasons += ["another number of fields than the header"] * len(self.broken)
        records += [text for _, text in self.broken]
        return pa.table([[self.file] * len(numbers), numbers, reasons, records], schema=REJECTS)


def write_rejects(file: Path, found: list[Faults]) -> int:
    """Write the rejected rows of all files, or remove an older file if there are none; returns how many."""
    rows = pa.concat_tables([faults.rejects() for faults in found])
    if not rows.num_rows:
        file.unlink(missing_ok=True)
        return 0
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, file, compression="zstd")
    return rows.num_rows
