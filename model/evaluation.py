"""Figures of several rankers on the same rows: one slice, each ranker paired with the first, with what chance alone would give.

All rankers are judged on the same draws (intervals.py), so that what they share cancels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.intervals import NORMAL_QUANTILE, Interval
from model.metrics import RankedRows, log_losses, weighted_mean

METRICS = ("auc", "gauc", "log_loss", "calibration")


@dataclass(frozen=True)
class Rows:
    """The rows all rankers scored. `scores[ranker][seed]`: float[n]; a difference is of the seeds that both rankers have."""

    users: NDArray  # int[n], dense, as are the next two
    days: NDArray
    user_days: NDArray
    labels: NDArray  # bool[n]
    scores: dict[str, dict[int, NDArray]]

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        scores = {ranker: {seed: values[mask] for seed, values in seeds.items()} for ranker, seeds in self.scores.items()}
        return Rows(self.users[mask], self.days[mask], self.user_days[mask], self.labels[mask], scores)


def compare(rows: Rows, interval: Interval, against: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One slice: every ranker's figures, and each one's difference to another, by default the first ranker.

    Returns {"rows", "positives", "users", "rankers": {name: {metric: {"mean", "sd", "by_seed"}}}, "difference": {name:
    {"to": that other, metric: the same, "low", "high", "resolved"}}}; calibration is mean score / share of positives. `sd` is
    over seeds (null for one), low and high bound the mean of these seeds. A difference is resolved where 0 stays outside after
    the interval is widened by what other seeds would change (1.96 sd / √seeds). Undefined: null.
    """
    judges = {name: {seed: Judge(rows, scores) for seed, scores in seeds.items()} for name, seeds in rows.scores.items()}
    plain = {name: {seed: judge.figures() for seed, judge in seeds.items()} for name, seeds in judges.items()}
    first, *others = rows.scores
    against = against or dict.fromkeys(others, first)
    result: dict[str, Any] = {
        "rows": len(rows.labels), "positives": int(rows.labels.sum()), "users": len(np.unique(rows.users)),
        "rankers": {name: dict(zip(METRICS, map(spread, np.stack([*seeds.values()]).T), strict=True))
                    for name, seeds in plain.items()},
        "difference": {},
    }
    shared = {name: [seed for seed in judges[name] if seed in judges[other]] for name, other in against.items()}

    def gaps(weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """float64[pairs, metrics], mean over the seeds that both have."""
        found = {name: {seed: judge.figures(weights) for seed, judge in seeds.items()} for name, seeds in judges.items()}
        return np.stack([np.mean([found[name][seed] - found[other][seed] for seed in shared[name]], axis=0)
                         for name, other in against.items()])

    unknown = np.full([len(against), len(METRICS)], np.nan)
    low, high = interval.bounds(rows, gaps) if against and len(rows.labels) else (unknown, unknown)
    for n, (name, other) in enumerate(against.items()):
        of_seeds = np.stack([plain[name][seed] - plain[other][seed] for seed in shared[name]]).T
        columns = zip(METRICS, of_seeds, low[n], high[n], strict=True)
        result["difference"][name] = {"to": other} | {
            metric: spread(gap) | bounded(gap, *bounds) for metric, gap, *bounds in columns}
    return result


class Judge:
    """The rows sorted once by one score: over all, and within each user."""

    def __init__(self, rows: Rows, scores: NDArray):
        self.scores, self.labels = scores.astype(np.float64), rows.labels.astype(np.float64)
        self.losses = log_losses(rows.labels, scores)
        self.over_all = RankedRows.of(np.zeros(len(scores), np.int8), rows.labels, scores)
        self.within_users = RankedRows.of(rows.users, rows.labels, scores)

    def figures(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """float64[METRICS] of the rows, each as often as its weight says; NaN where undefined."""
        weights = np.ones(len(self.scores)) if weights is None else weights
        over_all, _ = self.over_all.auc_by_group(weights)
        by_user = weighted_mean(*self.within_users.auc_by_group(weights))
        return np.array([
            over_all[0] if len(over_all) else np.nan, np.nan if by_user is None else by_user,
            ratio(self.losses @ weights, weights.sum()), ratio(self.scores @ weights, self.labels @ weights)])


def ratio(over: float, under: float) -> float:
    return over / under if under else np.nan


def spread(values: NDArray[np.float64]) -> dict[str, Any]:
    """Of the seeds' values: mean and standard deviation, null where a seed has none; sd null for a single seed."""
    by_seed = [number(value) for value in values]
    known = len(values) > 0 and None not in by_seed
    return {"mean": float(np.mean(values)) if known else None,
            "sd": float(np.std(values, ddof=1)) if known and len(values) > 1 else None, "by_seed": by_seed}


def bounded(gaps: NDArray[np.float64], low: float, high: float) -> dict[str, Any]:
    mean, seeds = gaps.mean(), len(gaps)
    towards_zero = mean - low if mean > 0 else high - mean
    of_seeds = NORMAL_QUANTILE * gaps.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else 0.0
    resolved = bool(abs(mean) > np.hypot(towards_zero, of_seeds))
    return {"low": number(low), "high": number(high), "resolved": resolved}


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)
