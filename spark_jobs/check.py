"""`python -m spark_jobs.check --suite S --from D0 --as-of D [--codebook V]`: does an artefact hold what its readers rely on?

Reads the days of one table at a pinned version, runs the suite of `features/expectations.py` over every row, writes its
Data Docs under <home>/data_docs/<suite>/ and ends with exit code 4, naming expectation, column and sample rows, if
anything fails: the DAG stops there and nothing downstream is published. One day fits into one process's memory, so
this reads Delta directly and needs no Spark session (which costs longer than the check).
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
from deltalake import DeltaTable

from features import expectation_columns as columns
from features import expectations
from features.artefacts import write_json
from features.clock import day_start_ms, days_between, from_ms, parse_as_of
from features.errors import ArtefactError, ConfigError, DataError, GatesidError, SchemaError
from features.events import IMPRESSION
from features.layout import Layout
from features.names import TABLE_EVENTS, TABLE_ITEMS, TABLE_SEMANTIC_IDS, TABLE_TRAINING_FRAME
from features.windows import DEDUPE_HORIZON_MS
from infra.settings import load_settings

EVENT_COLUMNS = ["event_id", "event_type", "user_id", "item_id", "event_time", "ingest_time", "source", "partition",
                 "offset", "ds"]
ITEM_COLUMNS = ["item_id", "title", "attributes", "published_at", "vector", "ingest_time", "offset"]
SID_COLUMNS = ["item_id", "codes", "assigned_at", "codebook_version"]
FRAME_COLUMNS = ["event_id", "user_id", "item_id", "event_time", "ds", "clicked", "ordered", "user_row", "item_row",
                 "hour_of_day", "day_of_week", "history_rows", "online_days", "exposure_7d", "click_7d", "maturity_tick",
                 "repeat_count", "repeat_age_days", "served"]
REPEATED = ["event_type", "user_id", "item_id", "source", "ds", "codebook_version"]  # few values, many rows


class Tables:
    """The lake's tables, each at the version first met."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.open: dict[str, DeltaTable] = {}

    def has(self, name: str) -> bool:
        return DeltaTable.is_deltatable(str(self.layout.table(name)))

    def read(self, name: str, wanted: list[str], rows: ds.Expression | None = None) -> pd.DataFrame:
        """Raises ArtefactError: no such table. SchemaError: it lacks a column."""
        path = str(self.layout.table(name))
        if not self.has(name):
            raise ArtefactError(f"no Delta table at {path}: run the job that writes it first")
        table = self.open.setdefault(name, DeltaTable(path))
        data = table.to_pyarrow_dataset()
        if missing := [column for column in wanted if column not in data.schema.names]:
            raise SchemaError(f"table {name} lacks {', '.join(missing)} (it has {', '.join(data.schema.names)}): "
                              "write it again by its job")
        return data.to_table(columns=wanted, filter=rows).to_pandas(categories=[c for c in REPEATED if c in wanted])


def check_events(tables: Tables, first: date, as_of: date, codebook: str | None) -> list[tuple[Any, pd.DataFrame]]:
    frame = tables.read(TABLE_EVENTS, EVENT_COLUMNS, in_days(first, as_of))
    return [(expectations.events_suite(), columns.events_view(frame))]


def check_items(tables: Tables, first: date, as_of: date, codebook: str | None) -> list[tuple[Any, pd.DataFrame]]:
    """The catalogue as it was known at as_of; an item's newest row is its state."""
    frame = tables.read(TABLE_ITEMS, ITEM_COLUMNS, ds.field("ingest_time") < from_ms(day_start_ms(as_of)))
    newest = frame.sort_values(["ingest_time", "offset"], kind="stable").drop_duplicates("item_id", keep="last")
    return [(expectations.items_suite(), columns.items_view(newest.astype({"item_id": object})))]


def check_semantic_ids(tables: Tables, first: date, as_of: date, codebook: str | None) -> list[tuple[Any, pd.DataFrame]]:
    """Every SID of the version, and a row for each item known before as_of: one without a SID shows as nulls."""
    frame = tables.read(TABLE_SEMANTIC_IDS, SID_COLUMNS).astype({"item_id": object, "codebook_version": object})
    versions = sorted(frame.codebook_version.dropna().unique())
    if codebook is None and len(versions) > 1:
        raise ConfigError(f"semantic_ids has {', '.join(versions)}: say which with --codebook")
    version = codebook or next(iter(versions), None)
    frame = frame[frame.codebook_version == version]
    if tables.has(TABLE_ITEMS):
        known = tables.read(TABLE_ITEMS, ["item_id"], ds.field("ingest_time") < from_ms(day_start_ms(as_of)))
        frame = frame.merge(known.astype(object).drop_duplicates(), on="item_id", how="outer")
        frame["codes"] = frame.codes.astype(object).where(frame.codes.notna(), None)
    return [(expectations.semantic_ids_suite(version), columns.semantic_ids_view(frame))]


def check_training_frame(tables: Tables, first: date, as_of: date, codebook: str | None) -> list[tuple[Any, pd.DataFrame]]:
    """The rows, and rows in = rows out: a user's day that is in the frame is in it with every impression of the log."""
    frame = tables.read(TABLE_TRAINING_FRAME, FRAME_COLUMNS, in_days(first, as_of))
    back = first - timedelta(milliseconds=DEDUPE_HORIZON_MS) - timedelta(days=1)
    shown = tables.read(TABLE_EVENTS, ["event_id", "user_id", "ds", "ingest_time"],
                        in_days(back, as_of) & (ds.field("event_type") == IMPRESSION))
    shown = shown.sort_values("ingest_time", kind="stable").drop_duplicates("event_id")
    shown = shown[shown.ds.astype(object) >= first.isoformat()]
    by_day = ["user_id", "ds"]
    counts = pd.concat([side.astype({"user_id": object, "ds": object}).groupby(by_day).size().rename(name)
                        for side, name in ((frame, "rows"), (shown, "impressions"))], axis=1)
    sampled = counts[counts["rows"].notna()].fillna(0).astype("int64").reset_index()
    return [(expectations.training_frame_suite(), columns.training_frame_view(frame, shown.event_id)),
            (expectations.training_rows_suite(), sampled)]


CHECKS = {"events": check_events, "items": check_items, "semantic_ids": check_semantic_ids,
          "training_frame": check_training_frame}


def in_days(first: date, as_of: date) -> ds.Expression:
    return ds.field("ds").isin(days_between(first, as_of))


def check(layout: Layout, name: str, first: date, as_of: date, codebook: str | None = None) -> list[expectations.Outcome]:
    """Run one suite. Raises DataError: an expectation fails; the message names each, its column and sample rows."""
    began = time.monotonic()
    tables = Tables(layout)
    parts = CHECKS[name](tables, first, as_of, codebook)
    rows = sum(len(frame) for _, frame in parts[:1])
    docs = layout.home / "data_docs"
    outcomes = [expectations.run(suite, frame, docs / suite.name, f"{first}_{as_of}") for suite, frame in parts]
    expected = sum(outcome.expectations for outcome in outcomes)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    manifest = layout.run_manifest(f"check_{name}", as_of.isoformat())
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_json(manifest, {
        "job": f"check_{name}", "from": first, "as_of": as_of, "codebook": codebook, "rows": {"in": rows},
        "reads": {table: handle.version() for table, handle in tables.open.items()}, "ok": not failures,
        "expectations": expected, "failures": [failure._asdict() for failure in failures],
        "docs": [str(outcome.docs) for outcome in outcomes], "seconds": round(time.monotonic() - began, 1)})
    if failures:
        raise DataError(f"suite {name}, {first} to {as_of}, {rows:,} rows: {len(failures)} expectations failed, nothing may be "
                        "published from this.\n" + "\n".join(f"  - {failure}" for failure in failures)
                        + f"\nThe whole page: {outcomes[0].docs}")
    print(f"suite {name} {first} to {as_of} | {rows:,} rows | {expected} expectations hold | {time.monotonic() - began:.1f} s",
          file=sys.stderr)
    return outcomes


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m spark_jobs.check", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--suite", required=True, choices=sorted(CHECKS))
    parser.add_argument("--from", dest="first", metavar="D0", help="first day (default: the day before --as-of)")
    parser.add_argument("--as-of", required=True, metavar="D", help="every day before D; items and SIDs: as known then")
    parser.add_argument("--codebook", metavar="V",
                        help="suite semantic_ids: which version, if there are several")
    arguments = parser.parse_args(argv)
    try:
        as_of = parse_as_of(arguments.as_of)
        first = parse_as_of(arguments.first) if arguments.first else as_of - timedelta(days=1)
        if first >= as_of:
            raise ConfigError(f"--from {first} must be before --as-of {as_of}")
        outcomes = check(load_settings().layout, arguments.suite, first, as_of, arguments.codebook)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print(outcomes[0].docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
