"""What a space knows of what people take together: hits and order of held-out pairs, beside what popularity alone knows."""

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np

from model.co_click_pairs import Pairs, PairSplit

HIT_AT = 30
# Look-ups of held-out pairs: the standard error of a hit rate of 2 % is then 0.1 %.
MAX_QUERIES = 20_000


def co_click_figures(split: PairSplit, **spaces: np.ndarray) -> dict[str, Any]:
    """hit@30 and pair AUC of each space [n, D] on held-out pairs. hit@30 also among the contents that any pair has, since
    what was never taken is no answer, and of popularity alone."""
    pairs = split.held_out.rows
    taken, place = np.unique(np.concatenate([split.train.rows, pairs]), return_inverse=True)
    among = place.reshape(-1, 2)[len(split.train.rows):]
    return {"pairs": len(pairs),
            "hit_at_30": {name: hit_at(vectors, pairs) for name, vectors in spaces.items()}
            | {"popularity": popular_hit_at(pairs, split.train)},
            "hit_at_30_of_taken": {name: hit_at(vectors[taken], among) for name, vectors in spaces.items()},
            "pair_auc": {name: pair_auc(vectors, pairs) for name, vectors in spaces.items()}}


def co_click_line(figures: Mapping[str, Any]) -> str:
    """For the log: `co-click, 10118 held-out pairs | hit_at_30 text 0.0141 encoder 0.0167 | pair_auc …`"""
    if not figures["pairs"]:
        return "co-click: no pair was held out"
    shown = (f"{name} " + " ".join(f"{space} {value:.4f}" for space, value in figures[name].items() if value is not None)
             for name in ("hit_at_30", "hit_at_30_of_taken", "pair_auc"))
    return f"co-click, {figures['pairs']} held-out pairs | " + " | ".join(shown)


def hit_at(vectors: np.ndarray, pairs: np.ndarray, k: int = HIT_AT) -> float | None:
    """The share of pairs whose second content is among the k most similar (cosine) to the first; None without pairs.

    Args:
      vectors: float32[n, D]; pairs: int[P, 2], see `look_ups`.
    """
    return answered(vectors, look_ups(pairs), k) if len(pairs) else None


def answered(vectors: np.ndarray, both: np.ndarray, k: int = HIT_AT) -> float:
    """`hit_at` of the look-ups int[Q, 2] as they are: the second is the answer."""
    unit = np.ascontiguousarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    found = index.search(unit[both[:, 0]], min(k + 1, len(unit)))[1]
    others = np.where(found == both[:, :1], -1, found)  # a content is no answer to itself
    # Where duplicates pushed the content itself out of the list, the list is one too long.
    others[(found != both[:, :1]).all(axis=1), -1] = -1
    return float((others == both[:, 1:]).any(axis=1).mean())


def popular_hit_at(pairs: np.ndarray, trained_on: Pairs, k: int = HIT_AT) -> float | None:
    """`hit_at` of who always answers with the k contents that most trained pairs have: what a space must beat to say more
    than which contents sell. None without pairs."""
    if not len(pairs) or not len(trained_on.rows):
        return None
    taken = np.bincount(trained_on.rows.ravel(), np.repeat(trained_on.count, 2), minlength=int(pairs.max()) + 1)
    return popular_answered(taken, look_ups(pairs), k)


def popular_answered(taken: np.ndarray, both: np.ndarray, k: int = HIT_AT) -> float:
    """`answered` by the k contents of the highest counts, `taken` [contents]."""
    best = np.argsort(-taken, kind="stable")[:k + 1]  # one more, for a content is no answer to itself
    answers = np.where(best == both[:, :1], -1, best)
    answers[(best != both[:, :1]).all(axis=1), -1] = -1
    return float((answers == both[:, 1:]).any(axis=1).mean())


def look_ups(pairs: np.ndarray) -> np.ndarray:
    """int[Q, 2] of pairs int[P, 2], each in both directions; of more than MAX_QUERIES, a fixed sample."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return both[np.random.default_rng(0).permutation(len(both))[:MAX_QUERIES]]


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
