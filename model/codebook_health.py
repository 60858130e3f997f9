"""Is a codebook fit to be published? Its figures, and the limits below which it is refused.

A collapsed codebook gives a ranker no way to tell new items apart, and no later metric says so: offline AUC hardly moves,
since old items have behaviour. So health is a gate.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np

from features.encoder import Quantiser
from features.errors import DataError
from features.sid import quantise

HIT_AT = 30
# Look-ups of held-out pairs: the standard error of a hit rate of 2 % is then 0.1 %.
MAX_QUERIES = 20_000


@dataclass(frozen=True)
class HealthLimits:
    """What is refused. A level is judged by the codes it could use: no more than it has distinct residuals."""

    # Half of a level unused: half of that level's embedding rows would never be trained.
    min_coverage: float = 0.5
    # Below, a few codes hold nearly everything. Complete Journey's stands at .89.
    min_level_1_perplexity: float = 0.3
    # Above, a SID says less than a category: most contents share theirs with a different content.
    max_collision_rate_contents: float = 0.5
    # Below, the codes lose more of a vector than they keep.
    min_explained_variance: float = 0.5


def codebook_health(vectors: np.ndarray, quantiser: Quantiser, reconstruction: np.ndarray, content_rows: np.ndarray,
                    ) -> dict[str, Any]:
    """Figures of a codebook over the catalogue it was trained on.

    Args:
      vectors, reconstruction: float32[n, D] of the distinct contents.
      content_rows: int[items], the content of each item.
    Returns:
      levels: per level codes used, usable (at most: distinct residuals), coverage = used / usable, dead codes, perplexity
        (2^entropy of the codes' shares) and its share of usable. Collision rate: the share of items (contents) whose SID
        another item (content) has. Largest bucket: the most items (contents) with one SID. Explained variance: 1 - squared
        reconstruction error / variance.
    """
    found = quantise(quantiser.latents(vectors), quantiser.codebooks)
    size = quantiser.codebooks.shape[1]
    _, bucket, contents_in = np.unique(found.codes, axis=0, return_inverse=True, return_counts=True)
    items_in = np.bincount(bucket.ravel()[content_rows], minlength=len(contents_in))
    error = float(np.square(reconstruction - vectors).sum(axis=1).mean())
    variance = float(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean())
    return {
        "levels": [level_health(found.codes[:, n], found.residuals[:, n], size) for n in range(found.codes.shape[1])],
        "contents": len(vectors), "items": len(content_rows), "distinct_sids": len(contents_in),
        "collision_rate_items": float(items_in[items_in > 1].sum() / max(len(content_rows), 1)),
        "collision_rate_contents": float(contents_in[contents_in > 1].sum() / len(vectors)),
        "largest_bucket_items": int(items_in.max(initial=0)), "largest_bucket_contents": int(contents_in.max()),
        "reconstruction_error": error, "explained_variance": 1 - error / variance if variance > 0 else 1.0,
    }


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
            "dead_codes": int((count == 0).sum()), "perplexity": perplexity, "perplexity_share": perplexity / usable}


def hit_at(vectors: np.ndarray, pairs: np.ndarray, k: int = HIT_AT) -> float | None:
    """The share of pairs whose second content is among the k most similar (cosine) to the first; None without pairs.

    Args:
      vectors: float32[n, D]; pairs: int[P, 2], each looked up in both directions; of more than MAX_QUERIES, a fixed sample.
    """
    if not len(pairs):
        return None
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.random.default_rng(0).permutation(len(both))[:MAX_QUERIES]]
    unit = np.ascontiguousarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    found = index.search(unit[both[:, 0]], min(k + 1, len(unit)))[1]
    others = np.where(found == both[:, :1], -1, found)  # a content is no answer to itself
    # Where duplicates pushed the content itself out of the list, the list is one too long.
    others[(found != both[:, :1]).all(axis=1), -1] = -1
    return float((others == both[:, 1:]).any(axis=1).mean())


def pair_auc(vectors: np.ndarray, pairs: np.ndarray) -> float | None:
    """How often a content is nearer (cosine) to its partner than to a random content of the pairs; .5 = no idea.

    hit@30 looks for one partner of hundreds among all contents; this says whether the space leans the right way at all.
    """
    if not len(pairs):
        return None
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    other = np.random.default_rng(0).choice(pairs.ravel(), len(pairs))
    near = (unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(axis=1)
    far = (unit[pairs[:, 0]] * unit[other]).sum(axis=1)
    return float((near > far).mean() + (near == far).mean() / 2)


def co_click_figures(pairs: np.ndarray, **spaces: np.ndarray) -> dict[str, Any]:
    """hit@30 and pair AUC of each space [n, D] on held-out pairs."""
    return {"pairs": len(pairs),
            "hit_at_30": {name: hit_at(vectors, pairs) for name, vectors in spaces.items()},
            "pair_auc": {name: pair_auc(vectors, pairs) for name, vectors in spaces.items()}}


def co_click_line(figures: Mapping[str, Any]) -> str:
    """For the log: `co-click, 10118 held-out pairs | hit_at_30 text 0.0141 encoder 0.0167 | pair_auc …`"""
    if not figures["pairs"]:
        return "co-click: no pair was held out"
    shown = (f"{name} " + " ".join(f"{space} {value:.4f}" for space, value in figures[name].items())
             for name in ("hit_at_30", "pair_auc"))
    return f"co-click, {figures['pairs']} held-out pairs | " + " | ".join(shown)


def check_health(health: Mapping[str, Any], limits: HealthLimits | None = None) -> None:
    """Raises DataError naming every figure beyond its limit."""
    limits = limits or HealthLimits()
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
    if faults:
        raise DataError("the codebook is collapsed and was not published: " + "; ".join(faults) +
                        ". Look at the encoder's vectors (are contents alike?) or train with another seed")


def limits_json(limits: HealthLimits | None = None) -> dict[str, float]:
    return asdict(limits or HealthLimits())
