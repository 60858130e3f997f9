"""The catalogue as of a day: each item's newest record, and its content as the encoder takes it."""

import json
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.catalogue import ItemContent
from features.names import INGEST_TIME, ITEM_ID

CATALOGUE_COLUMNS = (ITEM_ID, "title", "attributes", "published_at", "vector", INGEST_TIME, "offset")


def current_items(items: DataFrame, as_of: date) -> DataFrame:
    """Each item as its last record before `as_of` has it: the one with the largest (ingest_time, offset)."""
    known = items.where(F.col(INGEST_TIME) < F.lit(as_of.isoformat()).cast("timestamp"))
    record = F.struct("title", "attributes", "published_at", "vector")
    newest = known.groupBy(ITEM_ID).agg(F.max_by(record, F.struct(INGEST_TIME, "offset")).alias("record"))
    return newest.select(ITEM_ID, "record.*")


def item_contents(batch: pa.RecordBatch) -> tuple[list[ItemContent], dict[int, str]]:
    """(content of each row, {row: what is wrong with it}); a faulty row's content is empty."""
    contents, faults = [], {}
    columns = (batch.column(name).to_pylist() for name in ("title", "attributes", "vector"))
    for n, (title, attributes, vector) in enumerate(zip(*columns, strict=True)):
        try:
            contents.append(ItemContent(title, read_attributes(attributes), vector))
        except ValueError:
            faults[n] = "attributes are no JSON object"
            contents.append(ItemContent(None, {}))
    return contents, faults


def read_attributes(text: str | None) -> dict[str, str]:
    """Raises ValueError: not a JSON object."""
    value = json.loads(text) if text else {}
    if not isinstance(value, dict):
        raise ValueError(text)
    return value
