"""Figures of several rankers on the same rows: per slice, paired against the first, with what chance alone would give.

An interval comes from drawing user-days with replacement (a user's rows of one day stand or fall together): both rankers are
judged on the same draw, so what they share cancels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics import RankedRows, log_loss, weighted_mean

DRAWS = 200
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rows:
    """The rows all rankers scored. `scores[ranker][seed]`: float[n]."""

    users: NDArray  # int[n]
    user_days: NDArray  # int[n], dense
    labels: NDArray  # bool[n]
    scores: dict[str, dict[int, NDArray]]

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        scores = {ranker: {seed: values[mask] for seed, values in seeds.items()} for ranker, seeds in self.scores.items()}
        return Rows(self.users[mask], self.user_days[mask], self.labels[mask], scores)


def user_day_draws(user_days: int, seed: int, draws: int = DRAWS) -> Iterable[NDArray]:
    """How often each user-day is drawn, int[user_days], draw by draw; the same seed gives the same draws."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(0, user_days, user_days), minlength=user_days)


def compare(rows: Rows, draws: list[NDArray]) -> dict[str, Any]:
    """One slice: every ranker's figures, and each one's difference to the first ranker.

    Returns {"rows", "positives", "users", "rankers": {name: {metric: {"mean", "sd"}}}, "difference": {name: {metric:
    {"mean", "low", "high", "sd"}}}}; metrics are auc, gauc, log_loss, calibration (mean score / share of positives). `sd` is
    over seeds (null for one), low and high bound the interval over user-days of the mean over seeds. Undefined: null.
    """
    judges = {name: {seed: Judge(rows, scores) for seed, scores in seeds.items()} for name, seeds in rows.scores.items()}
    plain = {name: {seed: judge.figures(rows) for seed, judge in seeds.items()} for name, seeds in judges.items()}
    result: dict[str, Any] = {
        "rows": len(rows.labels), "positives": int(rows.labels.sum()), "users": len(np.unique(rows.users)),
        "rankers": {name: {metric: spread([figures[metric] for figures in seeds.values()])
                           for metric in next(iter(seeds.values()))} for name, seeds in plain.items()},
        "difference": {},
    }
    first, *others = rows.scores
    drawn = {name: [] for name in rows.scores}
    for counts in draws if others and len(rows.labels) else []:
        weights = counts[rows.user_days].astype(np.float64)
        for name, seeds in judges.items():
            drawn[name].append(np.mean([judge.ranked(weights) for judge in seeds.values()], axis=0))
    for name in others:
        pairs = {seed: (plain[name][seed], plain[first][seed]) for seed in plain[name] if seed in plain[first]}
        result["difference"][name] = {
            metric: spread([minus(mine[metric], base[metric]) for mine, base in pairs.values()])
            for metric in ("auc", "gauc", "log_loss")}
        gaps = np.asarray(drawn[name], np.float64) - np.asarray(drawn[first], np.float64)
        for column, metric in enumerate(("auc", "gauc")):
            low, high = interval(gaps[:, column]) if len(gaps) else (None, None)
            result["difference"][name][metric] |= {"low": low, "high": high}
    return result


class Judge:
    """The rows sorted once by one score: over all, and within each user."""

    def __init__(self, rows: Rows, scores: NDArray):
        self.scores = scores
        self.over_all = RankedRows.of(np.zeros(len(scores), np.int8), rows.labels, scores)
        self.within_users = RankedRows.of(rows.users, rows.labels, scores)

    def ranked(self, weights: NDArray | None = None) -> tuple[float, float]:
        """(AUC, GAUC), NaN where undefined."""
        over_all, _ = self.over_all.auc_by_group(weights)
        by_user = weighted_mean(*self.within_users.auc_by_group(weights))
        return (float(over_all[0]) if len(over_all) else np.nan), (np.nan if by_user is None else by_user)

    def figures(self, rows: Rows) -> dict[str, float | None]:
        auc, gauc = (None if np.isnan(value) else value for value in self.ranked())
        share = rows.labels.mean() if len(rows.labels) else 0
        return {"auc": auc, "gauc": gauc, "log_loss": log_loss(rows.labels, self.scores),
                "calibration": float(self.scores.mean() / share) if share else None}


def spread(values: list[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation over seeds; null where a seed has none, sd null for a single seed."""
    if not values or any(value is None for value in values):
        return {"mean": None, "sd": None}
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def minus(mine: float | None, base: float | None) -> float | None:
    return None if mine is None or base is None else mine - base


def interval(gaps: NDArray) -> tuple[float | None, float | None]:
    """Bounds of the middle 95 % of the draws; null where most draws had no pair to compare."""
    gaps = gaps[~np.isnan(gaps)]
    if len(gaps) < DRAWS // 2:
        return None, None
    low, high = np.quantile(gaps, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
