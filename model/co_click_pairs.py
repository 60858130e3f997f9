"""Positive pairs of contents, P+ (SaviorRec section 3.2): what people take together more often than popularity explains."""

import zlib
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from features.content import ContentKey
from model.item_catalogue import Catalogue

# The most frequent pairs are kept: frequency is evidence, and a batch never sees more of them anyway.
MAX_PAIRS = 200_000
# One pair in HELD_OUT is never trained on and judges the vectors (hit@30).
HELD_OUT = 20
# Pairs are drawn in proportion to count ** COUNT_POWER: common pairs more often, without drowning the others.
COUNT_POWER = 0.5


class Pairs(NamedTuple):
    rows: np.ndarray  # int64[P, 2], contents, first < second, ordered
    count: np.ndarray  # float64[P]


@dataclass(frozen=True)
class PairSplit:
    train: Pairs
    held_out: Pairs


def no_pairs() -> Pairs:
    return Pairs(np.empty((0, 2), np.int64), np.empty(0))


def read_pairs(table: DeltaTable, catalogue: Catalogue, first: date | None, as_of: date) -> Pairs:
    """Pairs of the days [first, as_of), summed over days and over the items that share a content.

    Kept are those that occur more often than two such popular contents would by chance, and of them the MAX_PAIRS most
    frequent.
    """
    days = ds.field("ds") < as_of.isoformat()
    if first is not None:
        days &= ds.field("ds") >= first.isoformat()
    number = len(catalogue.contents)
    known = pa.array(catalogue.item_ids, pa.string())
    keys, counts = [], []
    for batch in table.to_pyarrow_dataset().scanner(columns=["item_a", "item_b", "count"], filter=days).to_batches():
        batch = batch.filter(pc.less(batch["item_a"], batch["item_b"]))  # both orders are listed
        place = [pc.fill_null(pc.index_in(batch[name].cast(pa.string()), value_set=known), -1).to_numpy(zero_copy_only=False)
                 for name in ("item_a", "item_b")]
        both = (place[0] >= 0) & (place[1] >= 0)
        a, b = (catalogue.content_rows[rows[both]] for rows in place)
        keys.append(np.where(a != b, np.minimum(a, b) * number + np.maximum(a, b), -1))
        counts.append(batch["count"].to_numpy(zero_copy_only=False)[both])
    key, of = np.unique(np.concatenate(keys) if keys else np.empty(0, np.int64), return_inverse=True)
    count = np.bincount(of, np.concatenate(counts) if counts else None, minlength=len(key)).astype(np.float64)
    rows = np.stack([key // max(number, 1), key % max(number, 1)], axis=1)[key >= 0]
    return frequent(Pairs(rows, count[key >= 0]), number)


def frequent(pairs: Pairs, number: int) -> Pairs:
    """The most frequent pairs above chance, in the order of their rows."""
    taken = np.bincount(pairs.rows.ravel(), np.repeat(pairs.count, 2), minlength=number)
    by_chance = taken[pairs.rows].prod(axis=1) / max(taken.sum(), 1)
    above = np.flatnonzero(pairs.count > by_chance)
    kept = np.sort(above[np.lexsort((above, -pairs.count[above]))[:MAX_PAIRS]])
    return Pairs(pairs.rows[kept], pairs.count[kept])


def split_pairs(pairs: Pairs, contents: list[ContentKey]) -> PairSplit:
    """Hold one pair in HELD_OUT out, by the text of its two contents: the same pairs in every run that knows them."""
    mark = np.array([zlib.crc32(repr(key).encode("utf-8", "backslashreplace")) for key in contents], np.int64)
    held = mark[pairs.rows].sum(axis=1) % HELD_OUT == 0
    return PairSplit(Pairs(pairs.rows[~held], pairs.count[~held]), Pairs(pairs.rows[held], pairs.count[held]))


class PairSampler:
    """Draws training pairs, either order."""

    def __init__(self, pairs: Pairs, number: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.number = number
        self.rows = pairs.rows
        self.weight = weight = pairs.count ** COUNT_POWER
        self.cumulative = np.cumsum(weight)
        # Both orders, grouped by first content: partners of content i stand at start[i]..start[i + 1].
        first, second = np.concatenate([pairs.rows, pairs.rows[:, ::-1]]).T
        order = np.argsort(first, kind="stable")
        self.partner = second[order]
        self.start = np.searchsorted(first[order], np.arange(number + 1))
        self.reach = np.concatenate([[0.0], np.cumsum(np.tile(weight, 2)[order])])

    def draw(self, size: int, own_share: float) -> np.ndarray:
        """int64[size, 2] pairs; a share of them, or all if there are none, pairs any content with itself."""
        own = np.repeat(self.rng.integers(0, self.number, (size, 1)), 2, axis=1)
        if not len(self.rows):
            return own
        at = np.searchsorted(self.cumulative, self.rng.random(size) * self.cumulative[-1], side="right")
        drawn = self.rows[np.minimum(at, len(self.rows) - 1)]
        drawn = np.where(self.rng.random((size, 1)) < 0.5, drawn, drawn[:, ::-1])
        return np.where(self.rng.random((size, 1)) < own_share, own, drawn)

    def shares(self, own_share: float) -> np.ndarray:
        """float64[number]: of the contents that `draw` gives, how many are this one; what only an own pair has is no zero."""
        if not len(self.rows):
            return np.full(self.number, 1 / self.number)
        of_pairs = np.bincount(self.rows.ravel(), np.repeat(self.weight, 2), minlength=self.number) / (2 * self.cumulative[-1])
        return (1 - own_share) * of_pairs + max(own_share, 0.01) / self.number

    def partners(self, contents: np.ndarray) -> np.ndarray:
        """One partner for each given content; itself where it has none."""
        low, high = self.reach[self.start[contents]], self.reach[self.start[contents + 1]]
        at = np.searchsorted(self.reach, low + self.rng.random(len(contents)) * (high - low), side="right") - 1
        at = np.clip(at, self.start[contents], np.maximum(self.start[contents + 1] - 1, 0))
        has = self.start[contents + 1] > self.start[contents]
        partner = self.partner[at] if len(self.partner) else contents
        return np.where(has, partner, contents)
