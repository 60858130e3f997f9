"""Rankers side by side on stored predictions: every slice, the curves by age, the gate, each day."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import DataError
from features.layout import Layout
from features.names import CLICKED, EVENT_ID, ORDERED, TASK_CTCVR, TASK_CTR
from model.evaluation import Rows, compare
from model.intervals import Interval
from model.metrics import auc, gauc
from model.predictions import read_days
from model.slices import age_buckets, evaluation_slices, exposure_buckets

LABEL_OF = {TASK_CTR: CLICKED, TASK_CTCVR: ORDERED}
SCORES = (TASK_CTR, TASK_CTCVR, "semantic_weight")
Tables = dict[str, dict[int, pa.Table]]  # SCORES by ranker and seed


def read_tables(layout: Layout, seeds: Mapping[str, list[int]], days: list[str]) -> tuple[pa.Table, Tables]:
    """What all rows share (read from the first ranker's first seed), and every ranker's scores of them.

    Raises ArtefactError: none of the days was scored; DataError: two of them scored different rows, so that a difference means
    nothing.
    """
    shared, tables, first = None, {}, ""
    for ranker, numbers in seeds.items():
        tables[ranker] = {}
        for seed in numbers:
            columns = None if shared is None else (EVENT_ID, *SCORES)
            table = read_days(layout.predictions(ranker, seed), days, columns)
            if shared is None:
                shared, first = table, f"{ranker}-s{seed}"
            elif not table.column(EVENT_ID).equals(shared.column(EVENT_ID)):
                raise DataError(f"{first} scored {len(shared):,} impressions, {ranker}-s{seed} {len(table):,} or others: "
                                "train both over the same days of one training_frame")
            tables[ranker][seed] = table.select(SCORES)
    return shared, tables


def side_by_side(shared: pa.Table, tables: Tables, interval_of: Callable[[Rows], Interval],
                 against: Mapping[str, str] | None = None, views: np.ndarray | None = None) -> dict[str, Any]:
    """{"tasks", "interval", "slices", "by_age", "semantic_weight", "per_day"} of rankers, see read_tables. `against`: whom each
    is compared with; by default the first. `views`: see evaluation_slices."""
    stats = {name: shared.column(name).to_numpy() for name in ("online_days", "exposure_7d", "click_7d")}
    masks = evaluation_slices(**stats, views=views)
    ages, exposures = age_buckets(stats["online_days"]), exposure_buckets(stats["exposure_7d"])
    tasks = [task for task in LABEL_OF if shared.column(task).null_count == 0]
    result: dict[str, Any] = {
        "tasks": tasks, "slices": {}, "by_age": {},
        "semantic_weight": semantic_weights(tables, {"age": ages, "exposure": exposures}), "per_day": [],
    }
    for task in tasks:
        rows = rows_of(tables, shared, task)
        interval = interval_of(rows)
        result["interval"] = interval.said
        result["slices"][task] = {name: compare(rows.where(mask), interval, against) for name, mask in masks.items()}
        result["by_age"][task] = {name: compare(rows.where(mask), interval, against) for name, mask in ages.items()}
        result["per_day"] += per_day(rows, shared, task)
    return result


def rows_of(tables: Tables, shared: pa.Table, task: str) -> Rows:
    users = pc.dictionary_encode(shared.column("user_id")).combine_chunks().indices.to_numpy()
    _, days = np.unique(shared.column("ds").to_numpy(), return_inverse=True)
    _, user_days = np.unique(users.astype(np.int64) * (days.max() + 1) + days, return_inverse=True)
    scores = {ranker: {seed: table.column(task).to_numpy() for seed, table in seeds.items()}
              for ranker, seeds in tables.items()}
    return Rows(users, days, user_days, shared.column(LABEL_OF[task]).to_numpy() > 0, scores)


def semantic_weights(tables: Tables, bucketings: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Mean gate weight by bucket, over all seeds and of each, of each ranker that has a gate; null where a bucket is empty."""
    result: dict[str, Any] = {}
    for ranker, seeds in tables.items():
        if next(iter(seeds.values())).column("semantic_weight").null_count:
            continue
        weights = [table.column("semantic_weight").to_numpy() for table in seeds.values()]
        result[ranker] = {kind: {name: weight_in(mask, weights) for name, mask in named.items()}
                          for kind, named in bucketings.items()}
    return result


def weight_in(mask: np.ndarray, weights: list[np.ndarray]) -> dict[str, Any]:
    by_seed = [float(weight[mask].mean()) if mask.any() else None for weight in weights]
    return {"rows": int(mask.sum()), "mean": float(np.mean(by_seed)) if mask.any() else None, "by_seed": by_seed}


def per_day(rows: Rows, shared: pa.Table, task: str) -> list[dict[str, Any]]:
    """AUC and GAUC of each day, by ranker, a value per seed."""
    ds = shared.column("ds").to_numpy()
    report = []
    for day in np.unique(ds):
        part = rows.where(ds == day)
        figures = {ranker: {"auc": [auc(part.labels, scores) for scores in seeds.values()],
                            "gauc": [gauc(part.users, part.labels, scores) for scores in seeds.values()]}
                   for ranker, seeds in part.scores.items()}
        report.append({"ds": str(day), "task": task, "rows": len(part.labels), "positives": int(part.labels.sum()), **figures})
    return report
