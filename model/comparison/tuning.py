"""Which learning rates a model is compared with: the best of one grid, on days that are not reported.

Two rounds: every point with one seed, and the best few of them with others too: what one seed likes best is chance in part.

Judged by log-loss of CTR: it is what training minimises, every row of every user counts in it, and it is no figure the table
ranks models by, so that tuning does not reach for the headline. AUC is kept beside it, for whoever would have chosen by that.
"""

import json
from math import inf
from statistics import mean
from typing import Any

from features.errors import DataError
from features.layout import Layout
from features.names import CLICKED, TASK_CTR
from model.comparison.models import tuned_as
from model.comparison.plan import Run
from model.metrics import auc, log_loss
from model.predictions import read_days

# (dense_rate, table_rate), around TrainConfig's; the higher ones for large batches, which take fewer steps.
RATES = ((2.5e-4, 0.005), (5e-4, 0.01), (1e-3, 0.02), (2e-3, 0.02), (1e-3, 0.05), (2e-3, 0.05), (5e-3, 0.1), (1e-2, 0.2))
TUNING_SEEDS = (1, 2, 3)  # one seed's log-loss differs from another's by more than neighbouring rates do
FINALISTS = 3  # points that come to the second round
# The model is fresh on the first days: what is judged there is how fast it wakes up. At most a third of the days is skipped.
FRESH_DAYS = 7


def judged(days: list[str]) -> list[str]:
    """The days that a point is judged on, of those it is tuned on."""
    return days[min(FRESH_DAYS, len(days) // 3):]


def figures(predictions: Layout, ranker: str, seed: int, days: list[str]) -> dict[str, Any]:
    """Of a point with one seed, from its predictions. Raises ArtefactError: none of the days has rows."""
    rows = read_days(predictions.predictions(ranker, seed), days)
    labels, scores = rows.column(CLICKED).to_numpy(), rows.column(TASK_CTR).to_numpy()
    return {"days": [days[0], days[-1]], "rows": len(labels), "positives": int(labels.sum()),
            "log_loss": log_loss(labels, scores), "auc": auc(labels, scores)}


def finalists(run: Run, preset: str, ranker: str) -> list[int]:
    """The points that come to the second round, best first, by the first seed's log-loss. Those that diverged come last."""
    first = run.plan.tuning_seeds[0]
    losses = [read(run, preset, ranker, n, first)["log_loss"] for n in range(len(run.plan.rates))]
    return sorted(range(len(losses)), key=lambda n: inf if losses[n] is None else losses[n])[:FINALISTS]


def points(run: Run, preset: str, ranker: str) -> list[dict[str, Any]]:
    """Every point of the grid: its rates, means over its seeds (None where one came to no number), and its seeds' own figures,
    one for the points that did not come to the second round."""
    found, second = [], finalists(run, preset, ranker)
    for n, (dense_rate, table_rate) in enumerate(run.plan.rates):
        seeds = [read(run, preset, ranker, n, seed) for seed in run.plan.tuning_seeds[:None if n in second else 1]]
        found.append({"dense_rate": dense_rate, "table_rate": table_rate, "finalist": n in second, "seeds": seeds} | {
            name: mean_or_none([seed[name] for seed in seeds]) for name in ("log_loss", "auc")})
    return found


def read(run: Run, preset: str, ranker: str, point: int, seed: int) -> dict[str, Any]:
    return json.loads(run.tuning(preset, ranker, point, seed).read_text())


def mean_or_none(values: list[float | None]) -> float | None:
    return None if None in values else mean(values)


def chosen(run: Run, preset: str, ranker: str) -> tuple[float, float] | None:
    """(dense_rate, table_rate) of the finalist with the lowest mean log-loss; None where nothing is tuned.

    Raises DataError: every finalist came to no number with some seed.
    """
    if not run.plan.rates:
        return None
    finite = [point for point in points(run, preset, tuned_as(ranker)) if point["finalist"] and point["log_loss"] is not None]
    if not finite:
        raise DataError(f"{tuned_as(ranker)} of preset {preset} came to no finite score at any of the rates {run.plan.rates}: "
                        "look at its logs, or tune on other rates")
    best = min(finite, key=lambda point: point["log_loss"])
    return best["dense_rate"], best["table_rate"]


def all_rates(run: Run, rankers: tuple[str, ...], presets: tuple[str, ...]) -> dict[str, Any]:
    """What rates.json holds: by preset and ranker every point, and the chosen one. Empty where nothing is tuned."""
    if not run.plan.rates:
        return {}
    tuned = list(dict.fromkeys(map(tuned_as, rankers)))
    return {preset: {ranker: {"chosen": chosen(run, preset, ranker), "points": points(run, preset, ranker)}
                     for ranker in tuned} for preset in presets}
