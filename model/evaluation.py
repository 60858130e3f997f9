"""Figures of several rankers on the same rows: one slice, each ranker paired with the first, with what chance alone would give.

All rankers are judged on the same draws (intervals.py), so that what they share cancels.
"""

from collections.abc import Mapping, Sequence
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
    gaps = Gaps(judges, against)
    unknown = np.full([len(against), len(METRICS)], np.nan)
    # Of one user's positives alone, nobody knows what another's would have said.
    enough = against and len(np.unique(rows.users[rows.labels])) > 1
    low, high = interval.bounds(rows, gaps) if enough else (unknown, unknown)
    for n, (name, other) in enumerate(against.items()):
        of_seeds = np.stack([plain[name][seed] - plain[other][seed] for seed in gaps.shared[name]]).T
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

    def slopes(self) -> NDArray[np.float64]:
        """float64[METRICS, n]: how each figure moves with each row's weight, where all weights are 1."""
        (_, _, of_auc), (areas, user, slope) = self.over_all.auc_slopes(), self.within_users.auc_slopes()
        size, judged = np.bincount(user, minlength=len(areas)), np.isfinite(areas)
        _, by_user, loss, calibration = self.figures()
        with np.errstate(invalid="ignore", divide="ignore"):
            of_gauc = np.where(judged[user], size[user] * slope + areas[user] - by_user, 0.0) / size[judged].sum()
            of_calibration = (self.scores - calibration * self.labels) / self.labels.sum()
        return np.stack([of_auc, of_gauc, (self.losses - loss) / len(self.losses), of_calibration])

    def sums(self, units: Sequence[NDArray]) -> list[NDArray[np.float64]]:
        """The slopes summed over the clusters of each of the units, float64[METRICS, clusters]."""
        slopes = self.slopes()
        return [np.stack([np.bincount(unit, slope) for slope in slopes]) for unit in units]


class Gaps:
    """How far rankers are from those they are held against, float64[pairs, metrics]: means over the seeds that both have."""

    def __init__(self, judges: Mapping[str, Mapping[int, "Judge"]], against: Mapping[str, str]):
        self.judges, self.against = judges, against
        self.shared = {name: [seed for seed in judges[name] if seed in judges[other]] for name, other in against.items()}

    def figures(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return self.of_pairs({name: {seed: judge.figures(weights) for seed, judge in seeds.items()}
                              for name, seeds in self.judges.items()})

    def sums(self, *units: NDArray) -> list[NDArray[np.float64]]:
        """For each way to cluster the rows, the summed slopes of its clusters, float64[pairs, metrics, clusters]."""
        slopes = {name: {seed: judge.sums(units) for seed, judge in seeds.items()} for name, seeds in self.judges.items()}
        return [self.of_pairs({name: {seed: found[n] for seed, found in seeds.items()} for name, seeds in slopes.items()})
                for n in range(len(units))]

    def of_pairs(self, found: Mapping[str, Mapping[int, NDArray]]) -> NDArray[np.float64]:
        return np.stack([np.mean([found[name][seed] - found[other][seed] for seed in self.shared[name]], axis=0)
                         for name, other in self.against.items()])


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
