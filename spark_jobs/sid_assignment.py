"""SIDs and vectors for the items that have none: content, through an exported encoder, to codes. Append-only.

Within a codebook version a published SID never moves, also if the item's content changes later. An item without content
is not written: it gets the default where a model reads (all codes -1), and a SID on the night after it has content.

    python -m spark_jobs.sid_assignment --as-of 2026-11-22 --codebook cb-2026-11-20
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.artefacts import read_manifest
from features.encoder import ContentEncoder
from features.names import CODEBOOK_VERSION, CODES, ITEM_ID, TABLE_ITEM_VECTORS, TABLE_ITEMS, TABLE_SEMANTIC_IDS
from features.spec import MISSING_CODE
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs.catalogue import CATALOGUE_COLUMNS, current_items, item_contents
from spark_jobs.run import Run, job_parser, run_job

ENCODER_VERSION = "encoder_version"
ENCODED_SCHEMA = f"{ITEM_ID} string, vector array<float>, {CODES} array<int>, fault string"
NO_CONTENT = "no content"


def encoded(items: DataFrame, load: Callable[[], ContentEncoder]) -> DataFrame:
    """Vector and codes of each item, or the fault that kept it from having them.

    Args:
      items: item_id, title, attributes, vector; one row an item.
      load: gives the encoder; called once in each worker, where the weights stay.
    """
    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        encoder = load()
        for batch in batches:
            yield encode_batch(encoder, batch)
    return items.select(ITEM_ID, "title", "attributes", "vector").mapInArrow(encode, ENCODED_SCHEMA)


def encode_batch(encoder: ContentEncoder, batch: pa.RecordBatch) -> pa.RecordBatch:
    contents, faults = item_contents(batch)
    faults |= {n: fault for n, fault in encoder.faults(contents).items() if n not in faults}
    encodable = [n for n in range(len(contents)) if n not in faults]
    vectors, codes = encoder.encode([contents[n] for n in encodable])
    faults |= {n: NO_CONTENT for n, code in zip(encodable, codes, strict=True) if code[0] == MISSING_CODE}
    place = {n: at for at, n in enumerate(encodable) if n not in faults}
    return pa.RecordBatch.from_pydict({
        ITEM_ID: batch.column(ITEM_ID),
        "vector": pa.array([vectors[place[n]] if n in place else None for n in range(len(contents))], pa.list_(pa.float32())),
        CODES: pa.array([codes[place[n]] if n in place else None for n in range(len(contents))], pa.list_(pa.int32())),
        "fault": pa.array([faults.get(n) for n in range(len(contents))], pa.string())})


def without(items: DataFrame, run: Run, table: str, column: str, version: str) -> DataFrame:
    """The items that have no row in a table's partition `column = version`."""
    if not run.has(table):
        return items
    return items.join(run.read(table).where(F.col(column) == version).select(ITEM_ID), ITEM_ID, "left_anti")


def work(run: Run, arguments: argparse.Namespace) -> str:
    folder: Path = run.layout.codebook(arguments.codebook)
    read_manifest(folder, kind="codebook")  # half-written, altered or a mere encoder: refused before Spark reads anything
    encoder = ContentEncoder.load(folder)
    known = current_items(run.read(TABLE_ITEMS, CATALOGUE_COLUMNS), run.as_of)
    no_sid = without(known, run, TABLE_SEMANTIC_IDS, CODEBOOK_VERSION, encoder.version)
    no_vector = without(known, run, TABLE_ITEM_VECTORS, ENCODER_VERSION, encoder.encoder_version)
    todo = no_sid.union(no_vector).dropDuplicates([ITEM_ID]).repartition(run.settings.spark.shuffle_partitions, ITEM_ID)
    found = encoded(todo, lambda: ContentEncoder.load(folder)).persist()
    run.rows["in"] = found.count()
    reason = F.substring_index("fault", ", got", 1).alias("reason")
    for row in found.where("fault IS NOT NULL").groupBy(reason).count().collect():
        run.reject(row["reason"], row["count"])
    good = found.where("fault IS NULL")
    if not good.isEmpty():
        assigned_at = F.lit(run.as_of.isoformat()).cast("timestamp")
        sids = good.select(ITEM_ID, CODES, assigned_at.alias("assigned_at"), F.lit(encoder.version).alias(CODEBOOK_VERSION))
        vectors = good.select(ITEM_ID, "vector", F.lit(encoder.encoder_version).alias(ENCODER_VERSION))
        run.append_new(vectors, TABLE_ITEM_VECTORS, (ITEM_ID, ENCODER_VERSION), partition=ENCODER_VERSION)
        run.append_new(sids, TABLE_SEMANTIC_IDS, (ITEM_ID, CODEBOOK_VERSION), partition=CODEBOOK_VERSION)
    run.facts |= {CODEBOOK_VERSION: encoder.version, ENCODER_VERSION: encoder.encoder_version}
    found.unpersist()
    return f"{TABLE_SEMANTIC_IDS}@{(run.writes | run.reads).get(TABLE_SEMANTIC_IDS, 'none')}"


def options() -> argparse.ArgumentParser:
    parser = job_parser("spark_jobs.sid_assignment", __doc__)
    parser.add_argument("--codebook", required=True, metavar="V", help="a version under <home>/codebooks")
    return parser


def main(argv: list[str] | None = None) -> int:
    return run_job("sid_assignment", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
