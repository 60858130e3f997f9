"""A retrained codebook's codes named after the old ones: at each level the renaming by which most items keep their code.

K-means and training number their codes as they come. Which vector has which number means nothing to a quantiser (a
residual does not depend on it), but everything to a ranker, whose tables have a row a number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from features.errors import ArtefactError, DataError
from features.layout import Layout
from model.codebook_diff import published_sids


def match_to(layout: Layout, version: str, item_ids: Sequence[str], codes: NDArray[np.int32], size: int,
             ) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """How to rename `codes`, int32[n, N] of these items, after the published SIDs of a codebook version; and the churn over
    the items that have one, as trained and matched.

    Raises ArtefactError: that version has no SIDs, or none of these items has one; DataError: its SIDs are of other sizes.
    """
    known, published = published_sids(layout, version)
    if published.shape[1] != codes.shape[1] or published.max() >= size:
        raise DataError(f"the SIDs of {version} have {published.shape[1]} codes up to {published.max()}, expected "
                        f"{codes.shape[1]} below {size}: match to a codebook of the same sizes")
    place = pc.index_in(pa.array(item_ids, known.type), value_set=known)
    both = pc.is_valid(place).to_numpy(zero_copy_only=False)
    if not both.any():
        raise ArtefactError(f"none of {len(item_ids):,} items has a SID of {version}: match to another codebook")
    old, new = published[place.drop_null().to_numpy()], codes[both]
    places = matching(old, new, size)
    return places, {"matched_to": version, "items": len(old), "as_trained": churn(old, new),
                    "matched": churn(old, renamed(new, places))}


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


def churn(old: NDArray[np.int32], new: NDArray[np.int32]) -> dict[str, Any]:
    """The share of items whose code differs, level by level and anywhere."""
    differs = old != new
    return {"by_level": [float(share) for share in differs.mean(axis=0)], "anywhere": float(differs.any(axis=1).mean())}
