"""Your Parquet and CSV files as Arrow tables, and their columns as text and as milliseconds."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray

from features.artefacts import sha256
from features.errors import SchemaError

SUFFIXES = (".parquet", ".csv")
NO_TIME = np.iinfo(np.int64).min
MS_PER_UNIT = {"s": 1000.0, "ms": 1.0, "us": 0.001}
HAS_OFFSET = r"(?:[zZ]|[+-]\d{2}:?\d{2})$"


class OwnFile(NamedTuple):
    table: pa.Table
    row: NDArray[np.int64]  # the number of each row in its file, the first data row is 1
    broken: list[tuple[int, str]]  # CSV lines with too few or too many fields: row number, text


def list_files(path: Path) -> list[Path]:
    """Raises SchemaError: nothing to read there, or a mixture."""
    files = sorted(f for f in path.iterdir() if f.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise SchemaError(f"expected a {' or '.join(SUFFIXES)} file, or a folder of them, at {path}; found nothing")
    if len({f.suffix for f in files}) > 1 or files[0].suffix not in SUFFIXES:
        raise SchemaError(f"expected {' or '.join(SUFFIXES)} files of one kind at {path}, found "
                          f"{', '.join(f.name for f in files[:5])}")
    return files


def source_hashes(path: Path) -> dict[str, str]:
    return {file.name: sha256(file) for file in list_files(path)}


def read_own(path: Path, delimiter: str) -> OwnFile:
    """Read all of it. CSV columns stay text, so that an id such as 007 keeps its zeros. Raises SchemaError: unreadable."""
    parts = [read_file(file, delimiter) for file in list_files(path)]
    if any(part.table.schema != parts[0].table.schema for part in parts):
        raise SchemaError(f"the files under {path} have different columns: make them alike")
    return OwnFile(pa.concat_tables([part.table for part in parts]), np.concatenate([part.row for part in parts]),
                   [line for part in parts for line in part.broken])


def read_file(file: Path, delimiter: str) -> OwnFile:
    try:
        if file.suffix == ".parquet":
            table = pq.read_table(file)
            return OwnFile(table, np.arange(1, table.num_rows + 1), [])
        return read_csv(file, delimiter)
    except (pa.ArrowInvalid, OSError) as fault:
        raise SchemaError(f"cannot read {file}: {fault}. Expected {file.suffix[1:]} in UTF-8; export it again") from None


def read_csv(file: Path, delimiter: str) -> OwnFile:
    broken: list[tuple[int, str]] = []

    def set_aside(line: Any) -> str:
        broken.append((line.number - 1, line.text))  # line 1 is the header
        return "skip"

    parse = csv.ParseOptions(delimiter=delimiter, invalid_row_handler=set_aside, newlines_in_values=True)
    # One thread: only then does a broken line know its number.
    read = csv.ReadOptions(use_threads=False)
    with csv.open_csv(file, read_options=read, parse_options=parse) as opened:
        names = opened.schema.names
    broken.clear()
    table = csv.read_csv(file, read_options=read, parse_options=parse, convert_options=csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, quoted_strings_can_be_null=True,
        null_values=[""]))
    numbers = np.arange(1, table.num_rows + len(broken) + 1)
    return OwnFile(table, np.setdiff1d(numbers, [number for number, _ in broken], assume_unique=True)[:table.num_rows], broken)


def is_text_or_whole(kind: pa.DataType) -> bool:
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    return pt.is_integer(kind) or pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind) or pt.is_null(kind)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Trimmed text; the empty text is null."""
    kind = column.type.value_type if pt.is_dictionary(column.type) else column.type
    text = pc.utf8_trim_whitespace(column.cast(kind).cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def time_fault(kind: pa.DataType, unit: str | None) -> str | None:
    """Why a column of this type cannot hold times, or None."""
    if pt.is_integer(kind) and unit == "iso":
        return "holds whole numbers, but time_unit says iso: state s, ms or us"
    if pt.is_timestamp(kind) or pt.is_date(kind) or is_text_or_whole(kind):
        return None
    if pt.is_floating(kind):
        return None if unit in MS_PER_UNIT else "holds fractions: state time_unit (s, ms or us)"
    return f"is {kind}, expected timestamps, whole numbers or text"


class Times(NamedTuple):
    ms: NDArray[np.int64]  # NO_TIME where there is none or it cannot be read
    unreadable: NDArray[np.bool_]  # there is a value, but it is no time
    naive: int  # how many had no offset and were taken as UTC


def as_times(column: pa.ChunkedArray, unit: str | None) -> Times:
    """Times of any accepted kind. Numbers are in `unit` (default ms); texts are ISO 8601, or numbers if a unit is given."""
    kind = column.type
    empty = column.is_null().to_numpy()
    naive = 0
    if pt.is_timestamp(kind) or pt.is_date(kind):
        naive = 0 if pt.is_date(kind) or kind.tz else int((~empty).sum())
        ms = column.cast(pa.timestamp("ms", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64()).to_numpy()
        return Times(np.where(empty, NO_TIME, np.nan_to_num(ms)).astype(np.int64), np.zeros(len(empty), bool), naive)
    if pt.is_integer(kind) or pt.is_floating(kind):
        return from_numbers(column.cast(pa.float64(), safe=False).to_numpy(), unit or "ms", empty)
    text = as_text(column)
    empty = text.is_null().to_numpy()
    values = pd.Series(text.to_pandas(), dtype=object)
    if unit in MS_PER_UNIT or (unit is None and values.dropna().str.fullmatch(r"-?\d+").all()):
        return from_numbers(pd.to_numeric(values, errors="coerce").to_numpy(float), unit or "ms", empty)
    parsed = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    known = parsed.notna().to_numpy()
    naive = int((known & ~values.str.contains(HAS_OFFSET, regex=True, na=False).to_numpy(bool)).sum())
    ms = np.where(known, parsed.dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64), NO_TIME)
    return Times(ms, ~known & ~empty, naive)


def from_numbers(values: NDArray[np.float64], unit: str, empty: NDArray[np.bool_]) -> Times:
    # Beyond 9e15 ms a double no longer holds every millisecond, and no date is meant.
    fits = np.isfinite(values) & (np.abs(values * MS_PER_UNIT[unit]) < 9e15)
    return Times(np.where(fits, np.rint(np.where(fits, values, 0) * MS_PER_UNIT[unit]), NO_TIME).astype(np.int64),
                 ~fits & ~empty, 0)


def as_vectors(column: pa.ChunkedArray) -> list[list[float] | None | str]:
    """Each vector as floats; a text is read as a JSON list; what cannot be read comes back as its text."""
    return [as_vector(value) for value in column.to_pylist()]


def as_vector(value: Any) -> list[float] | None | str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        listed = json.loads(value) if isinstance(value, str) and re.match(r"\s*\[", value) else value
        return [float(one) for one in (listed.split() if isinstance(listed, str) else listed)]
    except (ValueError, TypeError):
        return str(value)
