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
    """Rows ordered by (group, score); of each positive row the run of equal scores it lies in and its group.

    Places are counts of rows before them, so that a cumulated weight of negatives read at two places says what lies between.
    """

    order: NDArray[np.int64]
    negative: NDArray[np.bool_]  # in that order, as everything below
    group_starts: NDArray[np.int64]
    positives: NDArray[np.int64]  # places of the positive rows
    tie_starts: NDArray[np.int64]  # of each positive row's run of equal scores
    tie_ends: NDArray[np.int64]
    groups: NDArray[np.int64]  # of each positive row

    @classmethod
    def of(cls, groups: Array, labels: Array, scores: Array) -> "RankedRows":
        """Args: groups, labels, scores: [n]. Raises ValueError: lengths differ, or a score is NaN."""
        groups, labels, scores = (np.asarray(a) for a in (groups, labels, scores))
        if not len(groups) == len(labels) == len(scores):
            raise ValueError(f"expected equally long columns, got {len(groups)}, {len(labels)}, {len(scores)}")
        if np.isnan(scores.astype(np.float64)).any():
            raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN: train their model again")
        order = np.lexsort((scores, groups))
        group, score, negative = groups[order], scores[order], ~(labels[order] > 0)
        new_group = np.r_[True, group[1:] != group[:-1]][: len(order)]
        new_tie = new_group | np.r_[True, score[1:] != score[:-1]][: len(order)]
        ties = np.r_[np.flatnonzero(new_tie), len(order)]
        positives = np.flatnonzero(~negative)
        tie = (np.cumsum(new_tie) - 1)[positives]
        return cls(order, negative, np.flatnonzero(new_group), positives, ties[tie], ties[tie + 1],
                   (np.cumsum(new_group) - 1)[positives])

    def auc_by_group(self, weights: NDArray[np.float64] | None = None) -> tuple[NDArray, NDArray]:
        """(AUC, total weight) of each group, float64[groups]; AUC is NaN where a group has one label only.

        `weights`: float64[n] in the callers' row order, e.g. how often a bootstrap drew the row.
        """
        if not len(self.order):
            return np.empty(0), np.empty(0)
        weight = np.ones(len(self.order)) if weights is None else weights[self.order]
        below = np.r_[0.0, np.cumsum(weight * self.negative)]  # weight of the negatives before a place
        starts, ends = self.group_starts, np.r_[self.group_starts[1:], len(self.order)]
        total_neg = below[ends] - below[starts]
        positive = weight[self.positives]
        total_pos = np.bincount(self.groups, positive, len(starts))
        # A positive beats the negatives of its group before its run of ties, and half of those in it.
        beaten = (below[self.tie_starts] + below[self.tie_ends]) / 2 - below[starts][self.groups]
        won = np.bincount(self.groups, positive * beaten, len(starts))
        pairs = total_pos * total_neg
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, won / pairs, np.nan), total_pos + total_neg

    def auc_slopes(self) -> tuple[NDArray, NDArray, NDArray]:
        """How AUC moves with each row's weight, where all weights are 1: (AUC of each group, float64[groups], NaN where it has
        one label only; the group of each row, int[n]; d AUC of its group / d weight of the row, float64[n], 0 where that is
        undefined), rows in the callers' order.
        """
        count, groups = len(self.order), len(self.group_starts)
        sizes = np.diff(np.r_[self.group_starts, count])
        positives = np.bincount(self.groups, minlength=groups)
        group, areas = np.repeat(np.arange(groups), sizes), self.auc_by_group()[0]
        below = np.r_[0, np.cumsum(self.negative)]
        won = np.zeros(count)
        won[self.positives] = (below[self.tie_starts] + below[self.tie_ends]) / 2 - below[self.group_starts][self.groups]
        # A positive wins over every place from its group's start to its run of ties, and by half over those in the run.
        steps = np.bincount(self.group_starts[self.groups], minlength=count + 1) - (
            np.bincount(self.tie_starts, minlength=count + 1) + np.bincount(self.tie_ends, minlength=count + 1)) / 2
        won = np.where(self.negative, np.cumsum(steps)[:count], won)
        same = np.where(self.negative, (sizes - positives)[group], positives[group])
        other = sizes[group] - same
        with np.errstate(invalid="ignore", divide="ignore"):
            slopes = np.nan_to_num((won / other - areas[group]) / same, posinf=0.0, neginf=0.0)
        by_row, group_of_row = np.empty(count), np.empty(count, np.int64)
        by_row[self.order], group_of_row[self.order] = slopes, group
        return areas, group_of_row, by_row


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
