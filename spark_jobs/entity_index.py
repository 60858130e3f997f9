"""Dense rows for items and users: append-only, so that a row, once given, never moves.

Rows 0 and 1 are padding and out-of-vocabulary (features/spec.py); the first id gets row 2. New ids, sorted, take the
rows after the last one. `--from` limits which days of the event log are searched for new ids; by default all are.

    python -m spark_jobs.entity_index --as-of 2026-11-22
"""

import argparse
import sys
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.names import INGEST_TIME, ITEM_ID, TABLE_EVENTS, TABLE_ITEM_INDEX, TABLE_ITEMS, TABLE_USER_INDEX, USER_ID
from features.spec import FIRST_ROW
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import lake
from spark_jobs.run import Run, job_parser, run_job


def new_rows(known: DataFrame | None, ids: DataFrame, key: str) -> DataFrame:
    """Rows for the ids that have none: (key, row int32), rows dense after the last one given, in the order of the ids."""
    last = FIRST_ROW - 1
    if known is not None:
        last = known.agg(F.max("row")).first()[0] or last
        ids = ids.join(known, key, "left_anti")
    # One task numbers them all: only new ids come here, and a number that depends on all others needs one place.
    return ids.select(key, (F.row_number().over(Window.orderBy(key)) + last).cast("int").alias("row"))


def extend(run: Run, ids: DataFrame, table: str, key: str) -> None:
    ids = ids.where(F.col(key).isNotNull()).distinct()
    added = new_rows(run.read(table) if run.has(table) else None, ids, key).persist()
    count = added.count()
    if count:
        run.append_new(added, table, (key,))
        version = run.writes[table]
    else:
        version = run.reads[table]
    run.facts.setdefault("added", {})[table] = count
    run.log(f"{table}@{version}: {count:,} new")
    added.unpersist()


def work(run: Run, arguments: argparse.Namespace) -> str:
    first = run.first if arguments.first else date.min
    events = lake.between(run.read(TABLE_EVENTS, (USER_ID, ITEM_ID)), first, run.as_of)
    items = run.read(TABLE_ITEMS, (ITEM_ID,)).where(F.col(INGEST_TIME) < F.lit(run.as_of.isoformat()).cast("timestamp"))
    run.rows["in"] = events.count()
    extend(run, items.select(ITEM_ID).union(events.select(ITEM_ID)), TABLE_ITEM_INDEX, ITEM_ID)
    extend(run, events.select(USER_ID), TABLE_USER_INDEX, USER_ID)
    return f"{TABLE_ITEM_INDEX}@{(run.writes | run.reads)[TABLE_ITEM_INDEX]}"


def options() -> argparse.ArgumentParser:
    return job_parser("spark_jobs.entity_index", __doc__)


def main(argv: list[str] | None = None) -> int:
    return run_job("entity_index", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
