"""Delta tables from Spark: read one at a version, replace exactly the days of a range, append rows once.

A replacement is one commit: readers see the old days or the new ones, and a run that is repeated leaves equal rows.
Spark writes every table but `events`, `items` and `item_maturity_log`, which are the consumers'.
"""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from features.errors import SchemaError
from features.layout import table_version
from features.names import DS


def read_table(spark: SparkSession, path: Path, version: int) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", version).load(str(path))


def require_columns(frame: DataFrame, columns: tuple[str, ...], table: str) -> None:
    """Raises SchemaError naming every column that is not there."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SchemaError(f"`{table}` lacks {', '.join(missing)}; it has {', '.join(frame.columns)}: see features/README.md")


def between(frame: DataFrame, first: date, as_of: date) -> DataFrame:
    """The partitions of [first, as_of)."""
    return frame.where((frame[DS] >= first.isoformat()) & (frame[DS] < as_of.isoformat()))


def replace_days(frame: DataFrame, path: Path, first: date, as_of: date, order: tuple[str, ...] = ()) -> int:
    """Replace the partitions of [first, as_of) by `frame`, in one commit; returns the version.

    With `order`, rows lie in that order within a day; `frame` is then evaluated twice (the ranges of the tasks come from a
    sample), so persist it where that is dear. Every row must have its `ds` in the range: Delta refuses the whole commit
    otherwise.
    """
    predicate = f"{DS} >= '{first.isoformat()}' AND {DS} < '{as_of.isoformat()}'"
    if order:
        frame = frame.repartitionByRange(DS, *order).sortWithinPartitions(DS, *order)
    writer = frame.write.format("delta").mode("overwrite").option("replaceWhere", predicate)
    writer.option("mergeSchema", True).partitionBy(DS).save(str(path))  # a new column is null in days of before
    return table_version(path)


def append_new_rows(frame: DataFrame, path: Path, keys: tuple[str, ...], partition: str | None = None) -> int:
    """Append the rows whose keys the table does not hold; returns the version. What is there never changes.

    A merge, because its commit fails where another writer added the same rows meanwhile; a plain append would double them.
    """
    spark = frame.sparkSession
    if not (path / "_delta_log").is_dir():
        # As many files as the rows need: one of a small table, and not one task's work of a large one.
        writer = frame.write.format("delta").mode("error").option("optimizeWrite", True)
        (writer.partitionBy(partition) if partition else writer).save(str(path))
        return table_version(path)
    frame.createOrReplaceTempView("new_rows")
    same = " AND ".join(f"old.{key} = new_rows.{key}" for key in keys)
    spark.sql(f"MERGE INTO delta.`{path}` AS old USING new_rows ON {same} WHEN NOT MATCHED THEN INSERT *")
    return table_version(path)


def rows_written(path: Path, version: int) -> int:
    """What the commit says it wrote (no scan)."""
    for line in (path / "_delta_log" / f"{version:020d}.json").read_text().splitlines():
        metrics: dict[str, Any] = json.loads(line).get("commitInfo", {}).get("operationMetrics", {})
        if metrics:
            return int(metrics.get("numTargetRowsInserted", metrics.get("numOutputRows", 0)))
    return 0


def days(first: date, as_of: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((as_of - first).days)]
