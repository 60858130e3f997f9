"""Predictions of one ranker and seed: a Parquet file a day, each scored before that day was learnt from."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.artefacts import read_manifest, sha256
from features.errors import ArtefactError
from features.layout import Layout
from features.names import ORDERED
from model.dataset import Arrays, Day


def write_day(folder: Path, day: Day, scores: Arrays, labels: tuple[str, ...]) -> None:
    """Replace <folder>/<ds>.parquet whole. `ctcvr` is null without order labels, `semantic_weight` without a gate."""
    folder.mkdir(parents=True, exist_ok=True)
    nulls = pa.nulls(len(day), pa.float32())
    table = day.kept.append_column("ctr", pa.array(scores["ctr"]))
    table = table.append_column("ctcvr", pa.array(scores["ctcvr"]) if ORDERED in labels else nulls)
    weight = pa.array(scores["semantic_weight"]) if "semantic_weight" in scores else nulls
    table = table.append_column("semantic_weight", weight)
    beside = folder / f".{day.ds}.{os.getpid()}"
    pq.write_table(table, beside)
    os.replace(beside, folder / f"{day.ds}.parquet")


def read_days(folder: Path, days: list[str], columns: tuple[str, ...] | None = None) -> pa.Table:
    """The predictions of these days, in order of day and event_id, all columns or some; days without rows have no file.

    Raises ArtefactError: none of the days was scored.
    """
    files = [folder / f"{ds}.parquet" for ds in days if (folder / f"{ds}.parquet").is_file()]
    if not files:
        raise ArtefactError(f"no predictions from {days[0]} to {days[-1]} in {folder}: run model.train_ranker over those days")
    parts = {file.stem: pq.read_table(file, columns=columns and list(columns)) for file in files}
    return pa.concat_tables([part.append_column("ds", pa.array([ds] * len(part))) for ds, part in parts.items()])


def fingerprint(layout: Layout, ranker: str, seed: int, days: list[str]) -> dict[str, Any]:
    """Which files were judged, and by what settings the last checkpoint of that run was trained, where it is known."""
    folder = layout.predictions(ranker, seed)
    files = {ds: sha256(path)[:16] for ds in days if (path := folder / f"{ds}.parquet").is_file()}
    checkpoints = sorted(layout.checkpoint(ranker, seed, "x").parent.glob("[0-9]*-[0-9]*-[0-9]*"))
    manifest = read_manifest(checkpoints[-1]) if checkpoints else {}
    kept = ("as_of", "ranker", "training", "codebook_version", "contract_hash", "code", "reads")
    return {"predictions": files, "checkpoint": {key: manifest.get(key) for key in kept}}
