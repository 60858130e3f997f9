"""A retrained codebook's codes named after the old ones: at each level the renaming by which most items keep their code.

K-means and training number their codes as they come. Which vector has which number means nothing to a quantiser (a
residual does not depend on it), but everything to a ranker, whose tables have a row a number.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def matching(old: NDArray[np.int32], new: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """Of codes of the same items, int32[n, N] each: [N, K], the new code that takes the place of each old code.

    Exact: the assignment that leaves the fewest items with another code (Hungarian), level by level. Codes that no item
    has fill the places left.
    """
    found = np.empty((new.shape[1], size), np.int64)
    for level in range(new.shape[1]):
        together = np.zeros((size, size), np.int64)
        np.add.at(together, (old[:, level], new[:, level]), 1)
        found[level] = linear_sum_assignment(together, maximize=True)[1]
    return found


def renamed(codes: NDArray[np.int32], places: NDArray[np.int64]) -> NDArray[np.int32]:
    """The new codes by their new names; the codebook itself becomes `codebook[n][places[n]]`."""
    names = np.argsort(places, axis=1)
    return np.stack([names[level][codes[:, level]] for level in range(codes.shape[1])], axis=1).astype(np.int32)


def churn(old: NDArray[np.int32], new: NDArray[np.int32], weight: NDArray[np.int64] | None = None) -> dict[str, Any]:
    """The share of items (of `weight`, where given) whose code differs, level by level and anywhere."""
    differs = old != new
    return {"by_level": [float(share) for share in np.average(differs, axis=0, weights=weight)],
            "anywhere": float(np.average(differs.any(axis=1), weights=weight))}
