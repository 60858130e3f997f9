"""A ranker goes on with another codebook: its SID tables start from what it had learnt of the old one's codes.

Id tables, dense layers and their optimiser slots stay as they are. A new code starts as the mean of the old codes that its
items had, level by level: of all tables, that one leaves the items' embeddings nearest to what they were (least squares).
Nobody is renamed, so it works for any two codebooks of the same sizes, matched (`train_rqvae --match-to`) or not.
"""

import numpy as np
from numpy.typing import NDArray

from model.optimisers import SplitOptimiser
from model.rankers.trunk import Trunk


def warm_start(ranker: Trunk, optimiser: SplitOptimiser, old: NDArray[np.int32], new: NDArray[np.int32], seed: int,
               ) -> dict[str, dict[str, int]]:
    """Rewrite the SID tables, and their slots, of a ranker that knew its items by `old` for one that knows them by `new`.

    Args:
      old, new: int32[rows, columns], an item's codes of either codebook, -1 where it has none; the same rows.
      seed: of the vectors of codes that no item with an old code has.
    Returns:
      By table: how many codes items have (`used`), and how many of these had partners (`warm`).
    """
    slots, draw, report = optimiser.state(), np.random.default_rng(seed), {}
    for part in ranker.sid_embeddings():
        for level, table in enumerate(part.tables):
            column, size = ranker.first_column(part) + level, table.shape[0]
            share = shares(old[:, column], new[:, column], size)
            warm = share.any(axis=1)
            fresh = draw.normal(scale=part.initial_spread, size=table.shape)
            for variable, start in ((table, fresh), (slots[table.name], optimiser.first_accumulator)):
                variable.assign(np.where(warm[:, np.newaxis], share @ variable.numpy(), start))
            used = np.unique(new[new[:, column] >= 0, column])
            report[table.name] = {"used": len(used), "warm": int(warm.sum())}
    return report


def shares(old: NDArray[np.int32], new: NDArray[np.int32], size: int) -> NDArray[np.float64]:
    """[K, K]: of the items that have the new code of a row, the share that had the old code of a column. Only items with
    both count; a row without them is zero."""
    both = (old >= 0) & (new >= 0)
    together = np.zeros((size, size))
    np.add.at(together, (new[both], old[both]), 1.0)
    return together / np.maximum(together.sum(axis=1, keepdims=True), 1.0)
