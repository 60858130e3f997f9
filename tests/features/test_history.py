"""What a user took before, by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.clock import MS_PER_DAY
from features.history import last_distinct, repeat_features


def test_last_distinct_items_come_newest_first():
    assert last_distinct(np.array(["a", "b", "a", "c", "b"]), 2).tolist() == ["b", "c"]
    assert last_distinct(np.array([], dtype="<U1"), 2).tolist() == []


def test_repeats_are_counted_and_dated_from_the_newest_take():
    taken, when = np.array(["a", "b", "a"]), np.array([0, 1, 2]) * MS_PER_DAY
    count, age = repeat_features(taken, when, np.array(["a", "b", "never"]), 5 * MS_PER_DAY)
    assert count.tolist() == [2, 1, 0]
    assert age.tolist() == [3, 4, -1]


def test_a_user_without_history_repeats_nothing():
    count, age = repeat_features(np.array([], dtype="<U1"), np.array([], np.int64), np.array(["a"]), 0)
    assert (count.tolist(), age.tolist()) == ([0], [-1])


@given(st.lists(st.integers(0, 8), max_size=40), st.lists(st.integers(0, 10), max_size=10))
def test_repeats_equal_a_plain_count(taken, candidates):
    count, age = repeat_features(
        np.array(taken, np.int64), np.arange(len(taken)) * MS_PER_DAY, np.array(candidates, np.int64), 50 * MS_PER_DAY)
    for n, item in enumerate(candidates):
        places = [place for place, other in enumerate(taken) if other == item]
        assert count[n] == len(places)
        assert age[n] == (50 - places[-1] if places else -1)
