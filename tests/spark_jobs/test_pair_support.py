"""Support over trailing days, by hand and against pandas."""

import numpy as np
import pandas as pd
import pyarrow as pa

from spark_jobs.pair_support import LISTED, listed_pairs
from spark_jobs.pairs import COUNTS, SIGHTING, PairRules, with_counts

KEY = ["item_a", "item_b", "day"]


def rules(min_support=2, support_days=28):
    return PairRules(24, 20, min_support, support_days, 0.0)


def rows_of(sightings, given, first, end):
    listed = listed_pairs(pa.Table.from_pylist(sightings, schema=SIGHTING), given, first, end).to_pylist()
    pairs = [(row["day"], row["item_a"], row["count"], row["support"], row["seen_ms"])
             for row in listed if row["item_a"] is not None]
    return pairs, {COUNTS[row["item_b"]]: row["seen_ms"] for row in listed if row["item_a"] is None}


def seen(day, a, at):
    return {"day": day, "item_a": a, "item_b": 100, "seen_ms": at}


def test_support_is_of_the_trailing_days_and_a_first_sighting_has_none():
    sightings = [seen(1, 5, 10), seen(3, 5, 30), seen(3, 5, 31), seen(5, 5, 50), seen(4, 6, 40)]
    pairs, counts = rows_of(sightings, rules(support_days=3), 1, 6)
    assert pairs == [(3, 5, 2, 3, 31), (5, 5, 1, 3, 50)]  # day 5 looks back to day 3
    assert counts == {"user_pairs_in_range": 5, "pairs_of_days": 4, "pairs_of_days_below_min_support": 2}


def test_days_before_the_range_give_support_and_are_not_listed():
    pairs, counts = rows_of([seen(1, 5, 10), seen(2, 5, 20)], rules(), 2, 3)
    assert pairs == [(2, 5, 1, 2, 20)]
    assert counts == {"user_pairs_in_range": 1, "pairs_of_days": 1, "pairs_of_days_below_min_support": 0}


def test_nothing_seen_lists_nothing_and_says_so():
    pairs, counts = rows_of([], rules(), 1, 2)
    assert pairs == []
    assert counts == dict.fromkeys(COUNTS[4:], 0)


def test_counts_of_what_was_removed_before_pass_through():
    table = with_counts(pa.Table.from_pylist([seen(1, 5, 10)], schema=SIGHTING), SIGHTING, {"same_item": 4})
    listed = listed_pairs(table, rules(), 1, 2).to_pylist()
    assert dict.fromkeys(LISTED.names) | {"item_b": COUNTS.index("same_item"), "seen_ms": 4} in listed


def test_support_as_pandas_has_it():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"day": rng.integers(100, 140, 3_000), "item_a": rng.integers(-9, 0, 3_000) * 2**59,
                          "item_b": rng.integers(1, 9, 3_000) * 2**59, "seen_ms": rng.integers(0, 99, 3_000)})
    found = listed_pairs(pa.Table.from_pandas(frame, schema=SIGHTING), rules(min_support=8, support_days=7), 110, 140)
    found = found.to_pandas().dropna(subset="item_a").sort_values(KEY)
    counted = frame.groupby(KEY).seen_ms.agg(count="count", seen_ms="max").reset_index()
    every_day = counted.set_index(KEY)["count"].unstack(fill_value=0).reindex(columns=range(100, 140), fill_value=0)
    support = every_day.T.rolling(7, min_periods=1).sum().T.stack().rename("support").reset_index()
    expected = counted.merge(support, on=KEY)
    expected = expected[(expected.support >= 8) & (expected.day >= 110)].sort_values(KEY)
    assert len(expected) > 300
    for name in ("day", "count", "support", "seen_ms"):
        assert found[name].astype(int).tolist() == expected[name].astype(int).tolist(), name
