"""Who ranks better where: rankers side by side on the days they scored before learning from them.

    python -m model.evaluate --as-of 2026-11-22 --days 30 --seeds 1,2,3

Reads the predictions of model.train_ranker, prints a table and writes reports/evaluation-<as-of>/evaluation.json.
"""

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.artefacts import new_artefact, read_manifest, sha256, write_json
from features.clock import days_between, parse_as_of
from features.errors import ArtefactError, ConfigError, DataError, GatesidError
from features.layout import Layout
from features.names import CLICKED, ORDERED, TASK_CTCVR, TASK_CTR
from infra.settings import load_settings
from model.config import RANKERS
from model.evaluation import Rows, compare, user_day_draws
from model.evaluation_table import table_lines
from model.metrics import auc, gauc
from model.predictions import read_days
from model.slices import age_buckets, evaluation_slices, exposure_buckets

KIND = "evaluation"
LABEL_OF = {TASK_CTR: CLICKED, TASK_CTCVR: ORDERED}
Tables = dict[str, dict[int, pa.Table]]


def evaluate(layout: Layout, rankers: list[str], seeds: list[int], days: list[str], draw_seed: int = 0) -> dict[str, Any]:
    """Everything evaluation.json holds.

    Raises ArtefactError: a ranker or seed has no predictions of these days; DataError: they are of different rows.
    """
    tables = {ranker: {seed: read_days(layout.predictions(ranker, seed), days) for seed in seeds} for ranker in rankers}
    check_same_rows(tables)
    shared = tables[rankers[0]][seeds[0]]
    stats = {name: shared.column(name).to_numpy() for name in ("online_days", "exposure_7d")}
    masks = evaluation_slices(**stats)
    ages, exposures = age_buckets(stats["online_days"]), exposure_buckets(stats["exposure_7d"])
    tasks = [task for task in LABEL_OF if shared.column(task).null_count == 0]
    result: dict[str, Any] = {
        "rankers": rankers, "seeds": seeds, "days": days, "tasks": tasks, "interval": "95 %, user-days drawn with replacement",
        "inputs": {ranker: {str(seed): fingerprint(layout, ranker, seed, days) for seed in seeds} for ranker in rankers},
        "slices": {}, "by_age": {}, "semantic_weight": semantic_weights(tables, {"age": ages, "exposure": exposures}),
        "per_day": [],
    }
    for task in tasks:
        rows = rows_of(tables, shared, task)
        draws = list(user_day_draws(int(rows.user_days.max()) + 1, draw_seed))
        result["slices"][task] = {name: compare(rows.where(mask), draws) for name, mask in masks.items()}
        result["by_age"][task] = {name: compare(rows.where(mask), draws) for name, mask in ages.items()}
        result["per_day"] += per_day(rows, shared, task)
    return result


def rows_of(tables: Tables, shared: pa.Table, task: str) -> Rows:
    users = pc.dictionary_encode(shared.column("user_id")).combine_chunks().indices.to_numpy()
    _, days = np.unique(shared.column("ds").to_numpy(), return_inverse=True)
    _, user_days = np.unique(users.astype(np.int64) * (days.max() + 1) + days, return_inverse=True)
    scores = {ranker: {seed: table.column(task).to_numpy() for seed, table in seeds.items()}
              for ranker, seeds in tables.items()}
    return Rows(users, user_days, shared.column(LABEL_OF[task]).to_numpy() > 0, scores)


def check_same_rows(tables: Tables) -> None:
    """A difference of two rankers means nothing unless they scored the same impressions."""
    first, known = None, None
    for ranker, seeds in tables.items():
        for seed, table in seeds.items():
            events = table.column("event_id")
            if known is None:
                first, known = f"{ranker}-s{seed}", events
            elif not events.equals(known):
                raise DataError(f"{first} scored {len(known):,} impressions, {ranker}-s{seed} {len(events):,} or others: "
                                "train both over the same days of one training_frame")


def fingerprint(layout: Layout, ranker: str, seed: int, days: list[str]) -> dict[str, Any]:
    """Which files were judged, and by what settings the last checkpoint of that run was trained, where it is known."""
    folder = layout.predictions(ranker, seed)
    files = {ds: sha256(path)[:16] for ds in days if (path := folder / f"{ds}.parquet").is_file()}
    checkpoints = sorted(layout.checkpoint(ranker, seed, "x").parent.glob("[0-9]*-[0-9]*-[0-9]*"))
    manifest = read_manifest(checkpoints[-1]) if checkpoints else {}
    kept = ("as_of", "ranker", "training", "codebook_version", "contract_hash", "reads")
    return {"predictions": files, "checkpoint": {key: manifest.get(key) for key in kept}}


def semantic_weights(tables: Tables, bucketings: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Mean gate weight by bucket, of each ranker that has a gate; null where a bucket is empty."""
    result: dict[str, Any] = {}
    for ranker, seeds in tables.items():
        if next(iter(seeds.values())).column("semantic_weight").null_count:
            continue
        weight = np.mean([table.column("semantic_weight").to_numpy() for table in seeds.values()], axis=0)
        result[ranker] = {kind: {name: {"rows": int(mask.sum()), "mean": float(weight[mask].mean()) if mask.any() else None}
                                 for name, mask in named.items()} for kind, named in bucketings.items()}
    return result


def per_day(rows: Rows, shared: pa.Table, task: str) -> list[dict[str, Any]]:
    """AUC and GAUC of each day, mean over seeds by ranker."""
    ds = shared.column("ds").to_numpy()
    report = []
    for day in np.unique(ds):
        part = rows.where(ds == day)
        figures = {ranker: {"auc": [auc(part.labels, scores) for scores in seeds.values()],
                            "gauc": [gauc(part.users, part.labels, scores) for scores in seeds.values()]}
                   for ranker, seeds in part.scores.items()}
        report.append({"ds": str(day), "task": task, "rows": len(part.labels), "positives": int(part.labels.sum()), **figures})
    return report


def publish(layout: Layout, as_of: str, result: dict[str, Any]) -> Path:
    """Write the report, or find that it is already there.

    Raises ArtefactError: another evaluation of that day exists.
    """
    folder = layout.report(f"evaluation-{as_of}")
    file = folder / "evaluation.json"
    if folder.exists():
        read_manifest(folder, kind=KIND)
        if json.loads(file.read_text()) != json.loads(json.dumps(result)):
            raise ArtefactError(f"{folder} holds another evaluation of {as_of}, of other days, seeds or predictions: "
                                "delete that folder first")
        return file
    with new_artefact(folder, kind=KIND, as_of=as_of, days=len(result["days"]), seeds=result["seeds"]) as draft:
        write_json(draft.path / file.name, result)
    return file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", required=True, help="the days before this one")
    parser.add_argument("--days", type=int, help="how many (default: settings)")
    parser.add_argument("--seeds", help="comma separated (default: settings)")
    parser.add_argument("--rankers", default=",".join(RANKERS), help="the first is what the others are compared with")
    given = parser.parse_args(argv)
    try:
        settings = load_settings()
        as_of = parse_as_of(given.as_of)
        count = settings.training.report_days if given.days is None else given.days
        seeds = parse_seeds(given.seeds) if given.seeds else [settings.training.seed]
        if count < 1:
            raise ConfigError(f"--days must be at least 1, got {count}")
        days = days_between(as_of - timedelta(days=count), as_of)
        result = evaluate(settings.layout, given.rankers.split(","), seeds, days)
        file = publish(settings.layout, str(as_of), result)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print("\n".join(table_lines(result)))
    print(file)
    return 0


def parse_seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds expects numbers such as 1,2,3, got {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
