"""The catalogue as it was known at a moment, from the lake: one content per item, and the distinct contents behind them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from deltalake import DeltaTable
from numpy.typing import NDArray

from features.catalogue import ItemContent
from features.clock import day_start_ms, from_ms
from features.content import ContentKey, ContentSchema, content_faults, content_keys
from features.errors import ArtefactError, DataError
from features.maturity import online_days
from features.names import ITEM_ID

ORDER = [ITEM_ID, "ingest_time", "offset"]  # an item's last row is what is known of it


@dataclass(frozen=True)
class Catalogue:
    """Items that can be encoded, and their distinct contents. Equal contents get equal vectors, so one is trained on."""

    item_ids: list[str]
    content_rows: np.ndarray  # int64[items] into contents
    contents: list[ContentKey]  # none of them empty
    faults: dict[str, str]  # item id -> why it was left out
    without_content: int  # items left out because there is nothing to encode


def open_table(path: Path, version: int | None = None) -> DeltaTable:
    """At a version, or the newest. Raises ArtefactError: there is no such table."""
    if not (path / "_delta_log").is_dir():
        raise ArtefactError(f"no Delta table at {path}: load the data (python -m infra.datasets load …) or run the job that "
                            "writes it first")
    return DeltaTable(path, version=version)


def read_items(table: DeltaTable, as_of: date) -> tuple[list[str], list[ItemContent]]:
    """Each item's newest row known before `as_of` (00:00 UTC), ordered by item id."""
    newest = newest_rows(table, as_of, ["title", "attributes", "vector"])
    parsed = {text: attributes_of(text) for text in newest.attributes.unique() if isinstance(text, str)}
    items = [ItemContent(title if isinstance(title, str) else None, parsed.get(text, {}), vector)
             for title, text, vector in zip(newest.title, newest.attributes, newest.vector, strict=True)]
    return newest.item_id.tolist(), items


def read_online_days(table: DeltaTable, as_of: date, item_ids: Sequence[str]) -> NDArray[np.int64]:
    """int64[items]: whole days online at `as_of`, -1 where an item is published later."""
    newest = newest_rows(table, as_of, ["published_at"]).set_index(ITEM_ID).published_at.loc[list(item_ids)]
    return online_days(np.int64(day_start_ms(as_of)), newest.to_numpy("datetime64[ms]").astype(np.int64))


def newest_rows(table: DeltaTable, as_of: date, columns: list[str]) -> pd.DataFrame:
    known = ds.field("ingest_time") < from_ms(day_start_ms(as_of))
    rows = table.to_pyarrow_dataset().to_table(columns=[*ORDER, *columns], filter=known).to_pandas()
    return rows.sort_values(ORDER, kind="stable").drop_duplicates(ITEM_ID, keep="last")


def attributes_of(text: str) -> dict[str, str]:
    """The JSON object of strings that the lake holds; raises DataError: it is not one."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DataError(f"attributes in the lake must be a JSON object of strings, got {text[:80]!r}: load the items again")
    return value


def distinct_contents(item_ids: list[str], items: list[ItemContent], schema: ContentSchema) -> Catalogue:
    """Leave out what cannot be encoded or holds nothing, and merge equal contents."""
    faults = content_faults(items, schema)
    kept = [n for n in range(len(items)) if n not in faults]
    keys = content_keys([items[n] for n in kept], schema)
    contents = {key: row for row, key in enumerate(key for key in dict.fromkeys(keys) if not key.is_empty())}
    encodable = [(item_ids[n], contents[key]) for n, key in zip(kept, keys, strict=True) if not key.is_empty()]
    return Catalogue([item for item, _ in encodable], np.array([row for _, row in encodable], np.int64), list(contents),
                     {item_ids[n]: fault for n, fault in faults.items()}, len(kept) - len(encodable))
