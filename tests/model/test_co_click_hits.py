"""Hits of held-out pairs by hand."""

import numpy as np

from model.co_click_hits import co_click_figures, co_click_line, hit_at, pair_auc, popular_hit_at
from model.co_click_pairs import Pairs, PairSplit, no_pairs


def test_hits_by_hand():
    angles = np.radians([0, 10, 30, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert hit_at(vectors, np.array([[0, 1]]), k=1) == 1
    assert hit_at(vectors, np.array([[1, 2]]), k=1) == 0.5  # 30 degrees is nearest to 10, but 10 is nearer to 0
    assert hit_at(vectors, np.array([[0, 3]]), k=2) == 0
    assert hit_at(vectors, np.array([[0, 3]]), k=3) == 1
    assert hit_at(vectors, np.array([[0, 3]]), k=30) == 1
    assert hit_at(vectors, np.empty((0, 2), int)) is None


def test_duplicates_count_as_candidates_and_the_item_itself_does_not():
    vectors = np.repeat(np.eye(2), [5, 1], axis=0)
    assert hit_at(vectors, np.array([[0, 5]]), k=1) == 0
    assert hit_at(vectors, np.array([[0, 5]]), k=5) == 1


def test_pair_auc_of_spaces_that_know_everything_nothing_and_the_opposite():
    pairs = np.arange(400).reshape(200, 2)
    rng = np.random.default_rng(0)
    together = np.repeat(rng.normal(size=(200, 16)), 2, axis=0)
    apart = together * np.where(np.arange(400) % 2, -1, 1)[:, None]
    assert pair_auc(together, pairs) > 0.99
    assert pair_auc(apart, pairs) < 0.01
    assert abs(pair_auc(rng.normal(size=(400, 16)), pairs) - 0.5) < 0.1
    assert pair_auc(np.ones((400, 2)), pairs) == 0.5
    assert pair_auc(together, pairs[:0]) is None


def test_what_the_log_says_of_pairs():
    pairs = Pairs(np.array([[0, 1], [2, 3]]), np.ones(2))
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.05]])  # the last one was never taken, and lies between
    assert co_click_line(co_click_figures(PairSplit(pairs, no_pairs()), text=vectors)) == "co-click: no pair was held out"
    figures = co_click_figures(PairSplit(no_pairs(), pairs), text=vectors)
    assert figures["hit_at_30"] == {"text": 1.0, "popularity": None}
    assert co_click_line(figures).startswith("co-click, 2 held-out pairs | hit_at_30 text 1.0000 | hit_at_30_of_taken text 1.0")


def test_what_was_never_taken_stands_in_nobodys_way():
    near = np.ones((40, 2)) * [1, 0] + np.arange(40)[:, None] * [0, 0.001]
    vectors = np.concatenate([[[1, -0.001]], near, [[1, 0.1]]])  # 0 and 41 are taken together; 40 others lie between
    split = PairSplit(no_pairs(), Pairs(np.array([[0, 41]]), np.ones(1)))
    figures = co_click_figures(split, text=vectors)
    assert figures["hit_at_30"]["text"] == 0
    assert figures["hit_at_30_of_taken"]["text"] == 1


def test_hits_of_popularity_by_hand():
    trained_on = Pairs(np.array([[0, 1], [0, 2], [0, 3], [1, 2]]), np.array([1.0, 1.0, 1.0, 5.0]))  # 1 and 2: 6, 0: 3, 3: 1
    assert popular_hit_at(np.array([[3, 1]]), trained_on, k=1) == 0.5  # 1 for 3; and for 1 itself 2, which is not 3
    assert popular_hit_at(np.array([[3, 2]]), trained_on, k=2) == 0.5
    assert popular_hit_at(np.array([[1, 2]]), trained_on, k=1) == 1
    assert popular_hit_at(np.array([[4, 5]]), trained_on, k=2) == 0
    assert popular_hit_at(np.empty((0, 2), int), trained_on) is None
