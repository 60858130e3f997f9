"""AUC and GAUC (R23), weighted so that a bootstrap replicate costs one pass over rows sorted once.

    ranked = RankedRows.of(groups, labels, scores)
    ranked.auc_by_group(row_weights)

With one group for all rows this is AUC; with a group per user it is what GAUC averages. Ties count one half.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.maturity import (
    new_under_20_days,
    popular_over_300_days,
    pv_bucket,
    pv_bucket_names,
    smile_groups,
    under_200_impressions_7d,
    warm_over_3_clicks_or_order_7d,
)

Array = NDArray[np.generic]


@dataclass(frozen=True)
class RankedRows:
    """Rows ordered by (group, score) and the places where groups and runs of equal scores begin."""

    order: NDArray[np.int64]
    positive: NDArray[np.bool_]
    group_starts: NDArray[np.int64]
    tie_starts: NDArray[np.int64]
    group_of_tie: NDArray[np.int64]

    @classmethod
    def of(cls, groups: Array, labels: Array, scores: Array) -> "RankedRows":
        """Args: groups, labels, scores: [n]. Raises ValueError: lengths differ, or a score is NaN."""
        groups, labels, scores = (np.asarray(a) for a in (groups, labels, scores))
        if not len(groups) == len(labels) == len(scores):
            raise ValueError(f"expected equally long columns, got {len(groups)}, {len(labels)}, {len(scores)}")
        if np.isnan(scores.astype(np.float64)).any():
            raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN: train their model again")
        order = np.lexsort((scores, groups))
        group, score = groups[order], scores[order]
        new_group = np.r_[True, group[1:] != group[:-1]][: len(order)]
        new_tie = new_group | np.r_[True, score[1:] != score[:-1]][: len(order)]
        group_number = np.cumsum(new_group) - 1
        return cls(order, labels[order] > 0, np.flatnonzero(new_group), np.flatnonzero(new_tie), group_number[new_tie])

    def auc_by_group(self, weights: NDArray[np.float64] | None = None) -> tuple[NDArray, NDArray]:
        """(AUC, total weight) of each group, float64[groups]; AUC is NaN where a group has one label only.

        `weights`: float64[n] in the callers' row order, e.g. how often a bootstrap drew the row.
        """
        if not len(self.order):
            return np.empty(0), np.empty(0)
        weight = np.ones(len(self.order)) if weights is None else weights[self.order]
        positives = np.add.reduceat(np.where(self.positive, weight, 0.0), self.tie_starts)
        negatives = np.add.reduceat(np.where(self.positive, 0.0, weight), self.tie_starts)
        first_tie = np.searchsorted(self.tie_starts, self.group_starts)
        total_pos, total_neg = np.add.reduceat(positives, first_tie), np.add.reduceat(negatives, first_tie)
        below = np.cumsum(negatives) - negatives
        below -= below[first_tie][self.group_of_tie]
        won = np.add.reduceat(positives * (below + 0.5 * negatives), first_tie)
        pairs = total_pos * total_neg
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, won / pairs, np.nan), total_pos + total_neg


def auc(labels: Array, scores: Array) -> float | None:
    """Share of (positive, negative) pairs in the right order, ties 1/2; None where there is one label only."""
    value, _ = RankedRows.of(np.zeros(len(labels), np.int8), labels, scores).auc_by_group()
    return None if not len(value) or np.isnan(value[0]) else float(value[0])


def gauc(users: Array, labels: Array, scores: Array) -> float | None:
    """Per-user AUC weighted by the user's rows; one-label users are skipped; None where nobody is left."""
    return weighted_mean(*RankedRows.of(users, labels, scores).auc_by_group())


def weighted_mean(values: NDArray, weights: NDArray) -> float | None:
    """Mean of the values that are not NaN, or None."""
    kept = ~np.isnan(values)
    total = weights[kept].sum()
    return float((values[kept] * weights[kept]).sum() / total) if total > 0 else None


def log_losses(labels: Array, scores: Array) -> NDArray[np.float64]:
    """Cross entropy of probabilities, row by row, float64[n]; clipped to [1e-7, 1 - 1e-7]."""
    p = np.clip(np.asarray(scores, np.float64), 1e-7, 1 - 1e-7)
    return -np.where(np.asarray(labels) > 0, np.log(p), np.log1p(-p))


def log_loss(labels: Array, scores: Array) -> float | None:
    """Mean cross entropy; None for no rows."""
    return float(log_losses(labels, scores).mean()) if len(labels) else None


def slice_masks(online_days: Array, pv: Array, impression_7d: Array, click_7d: Array, order_7d: Array) -> dict[str, NDArray]:
    """Every paper's rule for new, popular, cold and warm items as bool[n], by name (R24)."""
    bucket = pv_bucket(pv)
    return {
        "new_under_20_days": new_under_20_days(online_days),
        "popular_over_300_days": popular_over_300_days(online_days),
        **{name: bucket == n for n, name in enumerate(pv_bucket_names())},
        "warm_over_3_clicks_or_order_7d": warm_over_3_clicks_or_order_7d(click_7d, order_7d),
        "under_200_impressions_7d": under_200_impressions_7d(impression_7d),
        **smile_groups(impression_7d, click_7d, order_7d),
    }
