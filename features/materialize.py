"""Lake → Feast's online store: what a deployment or a nightly run must be able to read online.

    python -m features.materialize --as-of 2026-11-22 --codebook cb-20261122
    python -m features.materialize --as-of 2026-11-22 --codebook cb-20261122 --only semantic_ids items
    python -m features.materialize --apply-only                 deploy the definitions of features/repo

Four pushes, each from one pinned version of its table: the SIDs of the codebook, every item's profile and newest maturity row
as known before as_of, and every user's newest takes. It can be run again and beside the stream: the store keeps the newer
row, by tick, ingest time and version. A SID's time is the moment it was made the one to serve, so the codebook of the last run
wins.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from features.artefacts import write_json
from features.clock import Clock, SystemClock, day_start_ms, parse_as_of
from features.errors import ArtefactError, GatesidError
from features.layout import Layout
from features.names import TABLE_ITEMS, TABLE_MATURITY_REBUILT, TABLE_SEMANTIC_IDS, TABLE_USER_HISTORY
from features.retrieval import OnlineFeatures, config_from
from features.snapshots import drop_snapshots, pin_snapshot

TABLES = (TABLE_SEMANTIC_IDS, TABLE_ITEMS, TABLE_MATURITY_REBUILT, TABLE_USER_HISTORY)
FRAME_ROWS = 5_000
HISTORY_FRAME_ROWS = 500
SNAPSHOTS_KEPT = 3
REPORT_EVERY_S = 5.0

Frame = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One table's rows on their way to the store: which (`where`, with the values `given`), how read, how pushed."""

    table: str
    where: str
    given: dict[str, Any]
    select: str
    push: Callable[[Frame], None]
    frame_rows: int = FRAME_ROWS


def steps(store: OnlineFeatures, as_of: date, codebook: str, made_live_ms: int) -> list[Step]:
    as_of_ms = day_start_ms(as_of)
    return [
        Step(TABLE_SEMANTIC_IDS, "codebook_version = $codebook AND NOT list_contains(codes, -1)", {"codebook": codebook},
             "item_id, codes FROM chosen ORDER BY item_id",
             lambda frame: store.push_semantic_ids(frame["item_id"], np.array(frame["codes"]), codebook, made_live_ms)),
        Step(TABLE_ITEMS, "epoch_ms(ingest_time) < $as_of_ms", {"as_of_ms": as_of_ms},
             """item_id, arg_max_null(title, known) AS title, arg_max(epoch_ms(published_at), known) AS published_at_ms,
                max(known)['ingest_ms'] AS ingest_ms
                FROM (SELECT *, {'ingest_ms': epoch_ms(ingest_time), 'position': "offset"} AS known FROM chosen)
                GROUP BY item_id ORDER BY item_id""",
             lambda frame: store.push_profiles(frame["item_id"], frame["published_at_ms"], frame["title"], frame["ingest_ms"])),
        Step(TABLE_MATURITY_REBUILT, "epoch_ms(tick) < $as_of_ms", {"as_of_ms": as_of_ms},
             """item_id, max(epoch_ms(tick)) AS tick_ms, arg_max(exposure_7d, tick) AS exposure_7d,
                arg_max(click_7d, tick) AS click_7d FROM chosen GROUP BY item_id ORDER BY item_id""",
             lambda frame: store.push_maturity(frame["item_id"], frame["tick_ms"], frame["exposure_7d"], frame["click_7d"])),
        Step(TABLE_USER_HISTORY, "ds = $day", {"day": (as_of - timedelta(days=1)).isoformat()},
             "user_id, item_ids, event_times_ms FROM chosen ORDER BY user_id",
             lambda frame: store.push_user_history(frame["user_id"], frame["item_ids"], frame["event_times_ms"], as_of_ms),
             HISTORY_FRAME_ROWS),
    ]


def run(store: OnlineFeatures, layout: Layout, as_of: date, codebook: str, made_live_ms: int, tables: Sequence[str] = TABLES,
        **manifest: Any) -> Path:
    """Push these tables; returns the run's manifest, which `manifest` adds to. Raises as `materialize`, or EnvironmentFault."""
    started = time.monotonic()
    store.apply()
    planned = [step for step in steps(store, as_of, codebook, made_live_ms) if step.table in tables]
    reads, rows = materialize(layout, planned)
    file = layout.run_manifest("materialize", as_of.isoformat())
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {
        "job": "materialize", "as_of": as_of.isoformat(), "codebook": codebook, "made_live_ms": made_live_ms, "reads": reads,
        "rows": rows, **manifest, "seconds": round(time.monotonic() - started, 1)})
    return file


def materialize(layout: Layout, planned: list[Step]) -> tuple[dict[str, int], dict[str, int]]:
    """Run the steps; nothing is pushed before every table is known to have rows.

    Returns: the version read and the rows pushed, by table.
    Raises ArtefactError: a table is absent or has no such row.
    """
    pinned = {step.table: pin_snapshot(layout, step.table) for step in planned}
    for step in planned:
        folder, version = pinned[step.table]
        if not next(frames(folder, step, "1 FROM chosen LIMIT 1"), None):
            raise ArtefactError(f"version {version} of `{step.table}` has no row for {step.given}: run the job that writes it "
                                "(features/README.md); nothing was pushed")
    pushed = {step.table: push(step, *pinned[step.table]) for step in planned}
    for step in planned:
        drop_snapshots(layout, step.table, SNAPSHOTS_KEPT)
    return {table: version for table, (_, version) in pinned.items()}, pushed


def push(step: Step, folder: Path, version: int) -> int:
    """Frame by frame; returns the number of rows."""
    started, count, reported = time.monotonic(), 0, time.monotonic()
    for frame in frames(folder, step, step.select):
        step.push(frame)
        count += len(next(iter(frame.values())))
        if time.monotonic() - reported > REPORT_EVERY_S:
            reported = time.monotonic()
            log(f"{step.table} {count:,} rows | {count / (reported - started):,.0f} rows/s")
    log(f"{step.table} v{version} {count:,} rows in {time.monotonic() - started:.1f} s")
    return count


def frames(folder: Path, step: Step, select: str) -> Iterator[Frame]:
    """The columns selected from the step's rows, `frame_rows` at a time: numbers as arrays, everything else as lists."""
    import duckdb

    files = f"{folder}/**/*.parquet".replace("'", "''")
    query = (f"WITH chosen AS (SELECT * FROM read_parquet('{files}', hive_partitioning = true, hive_types_autocast = false) "
             f"WHERE {step.where}) SELECT {select}")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for batch in connection.sql(query, params=step.given).to_arrow_reader(step.frame_rows):
            yield {name: column.to_numpy() if str(column.type) == "int64" else column.to_pylist()
                   for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def log(text: str) -> None:
    print(f"materialize {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    from infra.settings import load_settings

    parser = argparse.ArgumentParser(
        prog="python -m features.materialize", description="Push SIDs, profiles, maturity and histories to the online store.",
        epilog="example: python -m features.materialize --as-of 2026-11-22 --codebook cb-20261122")
    parser.add_argument("--as-of", metavar="D", help="what was known before D")
    parser.add_argument("--codebook", metavar="V", help="the codebook version whose SIDs are served from now on")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, help="these tables (default: all)")
    parser.add_argument("--apply-only", action="store_true", help="deploy the definitions, push nothing")
    arguments = parser.parse_args(argv)
    if not arguments.apply_only and not (arguments.as_of and arguments.codebook):
        parser.error("--as-of and --codebook are needed, unless --apply-only is given")
    try:
        settings = load_settings()
        store = OnlineFeatures(config_from(settings))
        if arguments.apply_only:
            store.apply()
            print(store.config.registry)
            return 0
        as_of, now_ms = parse_as_of(arguments.as_of), (clock or SystemClock()).now_ms()
        file = run(store, settings.layout, as_of, arguments.codebook, now_ms, arguments.only, config=settings.public())
    except GatesidError as fault:
        print(f"materialize: {fault}", file=sys.stderr)
        return fault.exit_code
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
