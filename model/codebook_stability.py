"""A retrained codebook beside the one before it: its codes numbered after that one's, and how much stayed as it was."""

from datetime import date
from typing import Any, NamedTuple

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.encoder import CODEBOOKS_FILE, Quantiser, read_array
from features.errors import ArtefactError, DataError
from features.layout import Layout
from features.sid import decode
from model.co_click_hits import HIT_AT, MAX_QUERIES
from model.codebook_diff import published_sids
from model.codebook_matching import churn, matching, renamed
from model.impressions import impressions_7d
from model.item_catalogue import Catalogue


class Before(NamedTuple):
    """The published SIDs of an earlier codebook, of the items of a catalogue."""

    version: str
    at: NDArray[np.bool_]  # [items]: which of them have one
    codes: NDArray[np.int32]  # [those, N]
    codebooks: NDArray[np.float32] | None  # [N, K, W]; None: its folder is gone


def published_before(layout: Layout, version: str, catalogue: Catalogue, levels: int, size: int) -> Before:
    """Raises ArtefactError: that version has no SIDs, or none of these items has one; DataError: they are of other sizes."""
    known, published = published_sids(layout, version)
    if published.shape[1] != levels or published.max() >= size:
        raise DataError(f"the SIDs of {version} have {published.shape[1]} codes up to {published.max()}, expected "
                        f"{levels} below {size}: match to a codebook of the same sizes")
    place = pc.index_in(pa.array(catalogue.item_ids, known.type), value_set=known)
    at = pc.is_valid(place).to_numpy(zero_copy_only=False)
    if not at.any():
        raise ArtefactError(f"none of {len(catalogue.item_ids):,} items has a SID of {version}: match to another codebook")
    file = layout.codebook(version) / CODEBOOKS_FILE
    return Before(version, at, published[place.drop_null().to_numpy()], read_array(file) if file.exists() else None)


def stability(layout: Layout, before: Before, catalogue: Catalogue, quantiser: Quantiser, vectors: NDArray[np.float32],
              as_of: date) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """How to renumber the codes of `quantiser` (`matching`), and what changes for the items that had a SID before.

    Returns:
      The places, int64[N, K]; and `items`; churn `as_trained` and `matched`, level by level and anywhere, each also
      weighted by the items' impressions of the last seven days (None: nobody counted any); and `neighbourhood_overlap`
      of what the SIDs stand for, one item a content (None: the earlier codebook's folder is gone).
    """
    content_of = catalogue.content_rows[before.at]
    codes = quantiser.codes(vectors)
    new = codes[content_of]
    places = matching(before.codes, new, quantiser.codebooks.shape[1])
    after = {"as_trained": new, "matched": renamed(new, places)}
    shown = impressions_7d(layout, [catalogue.item_ids[n] for n in np.flatnonzero(before.at)], as_of)
    figures: dict[str, Any] = {"matched_to": before.version, "items": len(new),
                               **{name: churn(before.codes, found) for name, found in after.items()}}
    figures["by_impressions"] = None if shown is None else {
        "impressions": int(shown.sum()), **{name: churn(before.codes, found, shown) for name, found in after.items()}}
    contents, first = np.unique(content_of, return_index=True)
    figures["neighbourhood_overlap"] = None if before.codebooks is None else neighbourhood_overlap(
        decode(before.codes[first], before.codebooks), decode(codes[contents], quantiser.codebooks))
    return places, figures


def stability_lines(figures: dict[str, Any]) -> list[str]:
    """For the log and for `gatesid codebooks show`."""
    weighted = figures["by_impressions"] or {}
    lines = [f"churn to {figures['matched_to']}, {name.replace('_', ' ')}{how}: "
             + " ".join(f"{share:.1%}" for share in found[name]["by_level"]) + f" | anywhere {found[name]['anywhere']:.1%}"
             for how, found in (("", figures), (", by impressions", weighted)) for name in ("as_trained", "matched")
             if name in found]
    overlap = figures["neighbourhood_overlap"]
    return lines if overlap is None else [*lines, f"neighbours as in {figures['matched_to']}: {overlap:.1%}"]


def neighbourhood_overlap(old: np.ndarray, new: np.ndarray, k: int = HIT_AT) -> float:
    """Of a content's k nearest contents (squared differences) in `new`, the share that is among its k nearest in `old`.

    old, new: float32[n, any width], the same contents; of more than MAX_QUERIES, a fixed sample is looked up.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(old))[:MAX_QUERIES])
    both = zip(*(neighbours(space, rows, k) for space in (old, new)), strict=True)
    return float(np.mean([len(np.intersect1d(before, after)) / len(after) if len(after) else 1 for before, after in both]))


def neighbours(space: np.ndarray, rows: np.ndarray, k: int) -> list[np.ndarray]:
    """The k nearest of each row, itself left out."""
    index = faiss.IndexFlatL2(space.shape[1])
    index.add(np.ascontiguousarray(space, np.float32))
    found = index.search(np.ascontiguousarray(space[rows], np.float32), min(k + 1, len(space)))[1]
    return [one[one != row][:k] for row, one in zip(rows, found, strict=True)]
