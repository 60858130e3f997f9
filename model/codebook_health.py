"""Is a codebook fit to be published? Its figures, and the limits below which it is refused.

A collapsed codebook gives a ranker no way to tell new items apart, and no later metric says so: offline AUC hardly moves,
since old items have behaviour. So health is a gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from features.encoder import Quantiser
from features.errors import DataError
from features.maturity import new_under_20_days, popular_over_300_days
from features.names import SLICE_NEW, SLICE_POPULAR
from features.sid import quantise
from model.slices import age_buckets


@dataclass(frozen=True)
class HealthLimits:
    """Beyond which a codebook is refused; the settings' [codebook_health] says why. What is not given holds nothing.

    A level is judged by the codes it could use: no more than it has distinct residuals.
    """

    min_coverage: float = -inf
    min_level_1_perplexity: float = -inf
    max_collision_rate_contents: float = inf
    min_explained_variance: float = -inf
    min_explained_variance_new: float = -inf
    min_neighbourhood_overlap: float = -inf


def codebook_health(vectors: np.ndarray, quantiser: Quantiser, reconstruction: np.ndarray, content_rows: np.ndarray,
                    online_days: np.ndarray) -> dict[str, Any]:
    """Figures of a codebook over the catalogue it was trained on.

    Args:
      vectors, reconstruction: float32[n, D] of the distinct contents.
      content_rows: int[items], the content of each item; online_days: int[items].
    Returns:
      levels: per level codes used, usable (at most: distinct residuals), coverage = used / usable, dead codes, perplexity
        (2^entropy of the codes' shares), its share of usable, and the Gini coefficient of the usable codes' contents (0: all
        alike). Collision rate: the share of items (contents) whose SID another item (content) has. Largest bucket: the most
        items (contents) with one SID. Explained variance: 1 - squared reconstruction error / variance. by_age: error and
        explained variance of items by days online, and of GateSID's new and popular ones.
    """
    found = quantise(quantiser.latents(vectors), quantiser.codebooks)
    size = quantiser.codebooks.shape[1]
    _, bucket, contents_in = np.unique(found.codes, axis=0, return_inverse=True, return_counts=True)
    items_in = np.bincount(bucket.ravel()[content_rows], minlength=len(contents_in))
    errors = np.square(reconstruction - vectors).sum(axis=1)
    variance = float(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean())
    return {
        "levels": [level_health(found.codes[:, n], found.residuals[:, n], size) for n in range(found.codes.shape[1])],
        "contents": len(vectors), "items": len(content_rows), "distinct_sids": len(contents_in),
        "collision_rate_items": float(items_in[items_in > 1].sum() / max(len(content_rows), 1)),
        "collision_rate_contents": float(contents_in[contents_in > 1].sum() / len(vectors)),
        "largest_bucket_items": int(items_in.max(initial=0)), "largest_bucket_contents": int(contents_in.max()),
        **reconstructed(errors, variance), "by_age": by_age(errors[content_rows], variance, online_days),
    }


def by_age(errors: np.ndarray, variance: float, online_days: np.ndarray) -> dict[str, dict[str, Any]]:
    """`reconstructed`, and how many items, of each age slice that has any; squared errors float[items]."""
    slices = {SLICE_NEW: new_under_20_days(online_days), SLICE_POPULAR: popular_over_300_days(online_days),
              **age_buckets(online_days)}
    return {name: {"items": int(of.sum()), **reconstructed(errors[of], variance)} for name, of in slices.items() if of.any()}


def reconstructed(errors: np.ndarray, variance: float) -> dict[str, float]:
    error = float(errors.mean())
    return {"reconstruction_error": error, "explained_variance": 1 - error / variance if variance > 0 else 1.0}


def opq_health(vectors: np.ndarray, quantiser: Quantiser, reconstruction: np.ndarray) -> dict[str, Any]:
    """Figures of the OPQ codes over the distinct contents: as a level has, for each part; and of SMILE's SID, the RQ levels
    before the OPQ with the OPQ's codes: how many contents share one, and what it explains.

    Args:
      vectors, reconstruction: float32[n, D]; the reconstruction is of SMILE's SID.
    """
    opq = quantiser.opq
    found = quantise(quantiser.latents(vectors), quantiser.codebooks[:opq.after])
    left = found.residuals[:, opq.after]
    codes = opq.encode(left).codes
    parts, size, _ = opq.codebooks.shape
    rotated = np.split(left @ opq.rotation, parts, axis=1)
    contents_in = np.unique(np.concatenate([found.codes, codes], axis=1), axis=0, return_counts=True)[1]
    error = np.square(reconstruction - vectors).sum(axis=1).mean()
    variance = np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean()
    return {"levels": [level_health(codes[:, n], rotated[n], size) for n in range(parts)],
            "collision_rate_contents": float(contents_in[contents_in > 1].sum() / len(vectors)),
            "explained_variance": float(1 - error / variance) if variance > 0 else 1.0}


def level_health(codes: np.ndarray, residuals: np.ndarray, size: int) -> dict[str, Any]:
    usable = min(size, len(np.unique(residuals, axis=0)))
    count = np.bincount(codes, minlength=size)
    share = count[count > 0] / count.sum()
    perplexity = float(np.exp2(-(share * np.log2(share)).sum()))
    return {"used": int((count > 0).sum()), "usable": usable, "coverage": float((count > 0).sum() / usable),
            "dead_codes": int((count == 0).sum()), "perplexity": perplexity, "perplexity_share": perplexity / usable,
            "gini": gini(np.sort(count)[size - usable:])}


def gini(counts: np.ndarray) -> float:
    """Of ascending counts: 0 where all are alike, towards 1 where one has all."""
    places = np.arange(1, len(counts) + 1)
    return float(2 * (places * counts).sum() / (len(counts) * counts.sum()) - (len(counts) + 1) / len(counts))


def check_health(health: Mapping[str, Any]) -> None:
    """Raises DataError naming every figure beyond its limit, of those that it was judged by (`limits`)."""
    limits = HealthLimits(**health["limits"])
    faults = [f"level {n + 1} uses {level['used']} of {level['usable']} codes, {level['coverage']:.1%}, at least "
              f"{limits.min_coverage:.0%} expected" for n, level in enumerate(health["levels"])
              if not level["coverage"] >= limits.min_coverage]
    faults += [f"OPQ part {n + 1} uses {part['used']} of {part['usable']} codes, {part['coverage']:.1%}, at least "
               f"{limits.min_coverage:.0%} expected" for n, part in enumerate(health.get("opq", {"levels": []})["levels"])
               if not part["coverage"] >= limits.min_coverage]
    first = health["levels"][0]
    if not first["perplexity_share"] >= limits.min_level_1_perplexity:
        faults.append(f"level 1 perplexity is {first['perplexity']:.1f} of {first['usable']}, at least "
                      f"{limits.min_level_1_perplexity:.0%} expected")
    if not health["collision_rate_contents"] <= limits.max_collision_rate_contents:
        faults.append(f"{health['collision_rate_contents']:.1%} of different contents share a SID, at most "
                      f"{limits.max_collision_rate_contents:.0%} expected")
    if not health["explained_variance"] >= limits.min_explained_variance:
        faults.append(f"the codes explain {health['explained_variance']:.1%} of the vectors' variance, at least "
                      f"{limits.min_explained_variance:.0%} expected")
    new = health.get("by_age", {}).get(SLICE_NEW)
    if new and not new["explained_variance"] >= limits.min_explained_variance_new:
        faults.append(f"the codes explain {new['explained_variance']:.1%} of the vectors of {new['items']:,} items online for "
                      f"less than 20 days, at least {limits.min_explained_variance_new:.0%} expected")
    moved = health.get("stability") or {}
    overlap = moved.get("neighbourhood_overlap")
    if overlap is not None and not overlap >= limits.min_neighbourhood_overlap:
        faults.append(f"{overlap:.1%} of a content's neighbours are those it has in {moved['matched_to']}, at least "
                      f"{limits.min_neighbourhood_overlap:.0%} expected")
    if faults:
        raise DataError("the codebook is collapsed and was not published: " + "; ".join(faults) +
                        ". Look at the encoder's vectors (are contents alike?) or train with another seed")
