"""Sightings of pairs by hand. Items are letters here, users too."""

import numpy as np
import pyarrow as pa
import pytest

from features.errors import ConfigError
from spark_jobs.pairs import COUNTS, PairRules, sightings

HOUR = 3_600_000
RULES = {"window_hours": 24, "cap": 20, "min_support": 2, "support_days": 28, "min_lift": 0.0}


def take(user, item, at, day=1, known=None, event_id=None):
    """`at`, `known`: hours."""
    return {"user": ord(user), "item": ord(item), "event_id": event_id or at, "day": day, "event_ms": at * HOUR,
            "ingest_ms": (at if known is None else known) * HOUR}


def found(takes, **rules):
    """([(day, a, b, hour last seen)] in order, the first four counts)."""
    rows = sightings(pa.Table.from_pylist(takes), PairRules(**RULES | rules)).to_pylist()
    pairs = [(row["day"], chr(row["item_a"]), chr(row["item_b"]), row["seen_ms"] // HOUR)
             for row in rows if row["item_a"] is not None]
    counts = {COUNTS[row["item_b"]]: row["seen_ms"] for row in rows if row["item_a"] is None}
    return sorted(pairs), tuple(counts[name] for name in COUNTS[:4])


def test_two_takes_of_one_user_within_the_window_are_a_pair():
    pairs, counts = found([take("u", "b", 0), take("u", "a", 24), take("u", "c", 49), take("v", "a", 0)])
    assert pairs == [(1, "a", "b", 24)]
    assert counts == (3, 2, 0, 0)


def test_a_user_makes_a_pair_once_a_day_and_the_newest_sighting_stands():
    pairs, _ = found([take("u", "a", 0), take("u", "b", 1), take("u", "a", 2), take("v", "a", 3), take("v", "b", 4)])
    assert pairs == [(1, "a", "b", 2), (1, "a", "b", 4)]


def test_an_item_makes_no_pair_with_itself():
    assert found([take("u", "a", 0), take("u", "a", 1)]) == ([], (1, 0, 1, 0))


def test_a_take_meets_at_most_cap_earlier_takes_the_newest_known():
    pairs, counts = found([take("u", item, n) for n, item in enumerate("abcd")], cap=2)
    assert [(a, b) for _, a, b, _ in pairs] == [("a", "b"), ("a", "c"), ("b", "c"), ("b", "d"), ("c", "d")]
    assert counts == (5, 0, 0, 1)  # d would have met a too
    late = [take("u", item, n, known=known) for item, n, known in (("a", 0, 9), ("b", 1, 1), ("c", 2, 2))]
    assert found(late, cap=1)[0] == [(1, "a", "c", 2), (1, "b", "c", 2)]  # a came last, and met c


def test_which_of_a_basket_the_cap_cuts_has_nothing_to_do_with_the_order_of_its_lines():
    """100 lines at one moment, ordered by item as a log may have them: partners lie as far off as chance has it."""
    rng = np.random.default_rng(3)
    ids = rng.integers(-2**63, 2**63 - 1, 100)
    lines = pa.table({"user": [1] * 100, "item": np.arange(100), "event_id": ids, "day": pa.array([1] * 100, pa.int32()),
                      "event_ms": [HOUR] * 100, "ingest_ms": [HOUR] * 100})
    rows = sightings(lines, PairRules(**RULES | {"cap": 5})).to_pandas().dropna(subset="item_a")
    assert len(rows) == 5 * 100 - 15
    assert abs((rows.item_b - rows.item_a).mean() - 100 / 3) < 5  # by line it would be 3


def test_one_user_with_a_hundred_thousand_takes_costs_no_more_than_cap_times_them():
    count, items = 100_000, 997
    number = np.arange(count)
    takes = pa.table({"user": [7] * count, "item": number % items, "event_id": number, "event_ms": number,
                      "ingest_ms": number, "day": pa.array([1] * count, pa.int32())})
    rows = sightings(takes, PairRules(**RULES)).to_pandas()
    counts = dict(zip(COUNTS, rows[rows.item_a.isna()].seen_ms, strict=False))
    assert counts == {"takes_compared": 20 * count - 210,  # the first takes have fewer before them
                      "further_apart_than_window": 0, "same_item": 0, "takes_cut_by_cap": count - 21}
    assert len(rows.dropna(subset="item_a")) == 20 * items  # each pair of near items once: this user is one of many


def test_a_pair_belongs_to_the_day_of_the_take_that_completed_it():
    assert found([take("u", "a", 20, 1), take("u", "b", 26, 2)])[0] == [(2, "a", "b", 26)]


@pytest.mark.parametrize("wrong", [{"cap": 0}, {"min_lift": -0.1}, {"min_lift": float("nan")}])
def test_rules_must_make_sense(wrong):
    with pytest.raises(ConfigError, match="must be at least 1, min-lift at least 0"):
        PairRules(**RULES | wrong)
