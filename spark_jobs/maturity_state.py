"""What the stream starts from at `as_of`: the maturity of every item in the form in which the consumer keeps it.

    <home>/maturity_state/<as_of>/
      hour_counts.parquet   item_id, hour_ms, exposure, click     events that count at the tick as_of, by their UTC hour
      pending.parquet       event_id, event_type, item_id, event_time_ms, ingest_time_ms
                            events ingested before as_of that count only later (their event_time is ahead)
      seen.parquet          event_id, item_id, last_seen_ms       ids within the dedupe horizon of as_of
      last_rows.parquet     item_id, tick_ms, exposure_7d, click_7d   each item's last published pair, tick <= as_of
      manifest.json         as_of, watermark_ms (00:00 of as_of), publish_interval_ms, rows of each file

A row of `last_rows` may have the tick as_of itself, which is the first tick of the next day: it is the state after that
tick, not before it. Pairs of (0, 0) are listed where the change to it lies within the window before as_of.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.artefacts import new_artefact, read_manifest
from features.clock import day_start_ms
from features.errors import ArtefactError
from features.events import CLICK
from features.names import CLICK_7D, EVENT_ID, EVENT_TYPE, EXPOSURE_7D, ITEM_ID
from features.windows import DEDUPE_HORIZON_MS, HOUR_MS, WINDOW_MS
from spark_jobs.event_log import EVENT_MS, INGEST_MS

KIND = "maturity_state"


def write_state(run: Any, sighted: DataFrame, distinct: DataFrame, rows: DataFrame, interval_ms: int) -> tuple[Path, bool]:
    """Write the folder, or find that the one there says the same; returns it and whether it is new.

    Raises ArtefactError: a state of this as_of exists and the events say something else.
    """
    as_of_ms = day_start_ms(run.as_of)
    target = run.layout.maturity_state(run.as_of.isoformat())
    scratch = target.parent / f".state-{run.as_of}-{os.getpid()}"
    try:
        for name, frame in state_tables(sighted, distinct, rows, as_of_ms, interval_ms).items():
            write_file(frame, scratch, name)
        if target.exists():
            refuse_other_content(target, scratch)
            return target, False
        with new_artefact(target, kind=KIND, as_of=run.as_of.isoformat(), watermark_ms=as_of_ms, reads=run.reads,
                          publish_interval_ms=interval_ms) as draft:
            for file in sorted(scratch.glob("*.parquet")):
                shutil.move(file, draft.path / file.name)
            draft.manifest["rows"] = {file.stem: parquet_rows(file) for file in sorted(draft.path.glob("*.parquet"))}
        return target, True
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def state_tables(
    sighted: DataFrame, distinct: DataFrame, rows: DataFrame, as_of_ms: int, interval_ms: int,
) -> dict[str, DataFrame]:
    """The four tables; each event is in `hour_counts`, in `pending`, or out of the window.

    `rows`: published at the ticks of the window before as_of and at as_of itself.
    """
    hour = F.col(EVENT_MS) - F.pmod(F.col(EVENT_MS), F.lit(HOUR_MS))
    enter = (F.floor(F.greatest(EVENT_MS, INGEST_MS) / interval_ms) + 1) * interval_ms
    in_window = distinct.where(F.col(EVENT_MS) >= as_of_ms - WINDOW_MS)
    clicks = F.col(EVENT_TYPE) == CLICK
    last = rows.groupBy(ITEM_ID).agg(F.max_by(F.struct("tick_ms", EXPOSURE_7D, CLICK_7D), "tick_ms").alias("last"))
    return {
        "hour_counts": in_window.where(enter <= as_of_ms).groupBy(ITEM_ID, hour.alias("hour_ms")).agg(
            F.count_if(~clicks).alias("exposure"), F.count_if(clicks).alias("click")).orderBy(ITEM_ID, "hour_ms"),
        "pending": in_window.where(enter > as_of_ms).select(
            EVENT_ID, EVENT_TYPE, ITEM_ID, F.col(EVENT_MS).alias("event_time_ms"),
            F.col(INGEST_MS).alias("ingest_time_ms")).orderBy(EVENT_ID),
        "seen": sighted.where(F.col(INGEST_MS) >= as_of_ms - DEDUPE_HORIZON_MS).groupBy(EVENT_ID).agg(
            F.min_by(ITEM_ID, F.struct(INGEST_MS, "partition", "offset")).alias(ITEM_ID),
            F.max(INGEST_MS).alias("last_seen_ms")).orderBy(EVENT_ID),
        "last_rows": last.select(ITEM_ID, "last.*").orderBy(ITEM_ID),
    }


def write_file(frame: DataFrame, folder: Path, name: str) -> None:
    """One Parquet file of sorted rows. They pass through one task, not through the driver."""
    beside = folder / f"{name}.parts"
    frame.coalesce(1).write.mode("overwrite").parquet(str(beside))
    parts = sorted(beside.glob("part-*.parquet"))
    os.replace(parts[0], folder / f"{name}.parquet")
    shutil.rmtree(beside)


def refuse_other_content(target: Path, scratch: Path) -> None:
    read_manifest(target, kind=KIND, verify=True)
    differing = [file.name for file in sorted(scratch.glob("*.parquet")) if not same_rows(file, target / file.name)]
    if differing:
        raise ArtefactError(
            f"{target} exists and the events now give another {', '.join(differing)}: if the log before {target.name} was "
            "reloaded, delete the folder and run the job again")


def same_rows(one: Path, other: Path) -> bool:
    """Whether two sorted files hold the same rows, column by column to spare memory (Spark's bytes vary from run to run)."""
    columns = pq.read_schema(one).names
    return all(pq.read_table(one, columns=[name]).equals(pq.read_table(other, columns=[name])) for name in columns)


def parquet_rows(file: Path) -> int:
    return pq.ParquetFile(file).metadata.num_rows
