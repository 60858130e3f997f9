"""Remembered ids against a plain dictionary, also where two of them share their first 64 bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming import seen_ids
from streaming.seen_ids import NEVER, SEEN, first_at_least, look_up, newest_of

few = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 9))


def segment(rows):
    return np.array(rows, SEEN)


@given(st.lists(few))
def test_the_newest_sighting_of_each_id_is_kept_and_found(rows):
    last = {}
    for high, low, seen in rows:
        last[high, low] = max(seen, last.get((high, low), -1))
    kept = newest_of(segment(rows))
    assert kept.tolist() == [(*name, seen) for name, seen in sorted(last.items())]
    asked = [(high, low) for high in range(6) for low in range(4)]
    found = look_up(kept, *(np.array(part, np.uint64) for part in zip(*asked, strict=True)))
    assert found.tolist() == [last.get(name, NEVER) for name in asked]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.lists(st.integers(0, 2**64 - 1)))
def test_a_long_array_is_searched_like_a_short_one(held, asked):
    ordered, keys = np.sort(np.array(held, np.uint64)), np.array(asked + held, np.uint64)
    long, seen_ids.LONG = seen_ids.LONG, 0
    try:
        assert first_at_least(ordered, keys).tolist() == np.searchsorted(ordered, keys).tolist()
    finally:
        seen_ids.LONG = long
