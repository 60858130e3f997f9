"""Matching by hand, by brute force, and that a renamed codebook says the same."""

from itertools import permutations

import numpy as np

from features.sid import quantise
from model.codebook_matching import churn, matching, renamed


def test_by_hand():
    old = np.array([[0], [0], [1], [1], [2]])
    new = np.array([[2], [2], [0], [2], [1]])
    places = matching(old, new, 3)
    assert places.tolist() == [[2, 0, 1]]
    assert renamed(new, places).tolist() == [[0], [0], [1], [0], [2]]
    assert churn(old, renamed(new, places)) == {"by_level": [0.2], "anywhere": 0.2}


def test_a_codebook_that_only_numbers_its_codes_otherwise_is_the_old_one_again():
    rng = np.random.default_rng(2)
    x, codebooks = rng.normal(size=(400, 6)), rng.normal(size=(3, 16, 6))
    shuffled = np.stack([book[rng.permutation(16)] for book in codebooks])
    old, new = quantise(x, codebooks).codes, quantise(x, shuffled).codes
    assert churn(old, new)["anywhere"] > 0.9
    places = matching(old, new, 16)
    assert churn(old, renamed(new, places)) == {"by_level": [0, 0, 0], "anywhere": 0}
    # The renamed codebook gives the renamed codes and the same sums.
    matched = quantise(x, np.stack([book[place] for book, place in zip(shuffled, places, strict=True)]))
    np.testing.assert_array_equal(matched.codes, renamed(new, places))
    np.testing.assert_allclose(matched.quantised, quantise(x, shuffled).quantised, atol=1e-12)


def test_no_other_renaming_keeps_more_items():
    rng = np.random.default_rng(3)
    old, new = rng.integers(0, 4, (60, 2)), rng.integers(0, 4, (60, 2))
    found = churn(old, renamed(new, matching(old, new, 4)))["by_level"]
    for level in range(2):
        best = min(float((old[:, level] != np.array(names)[new[:, level]]).mean()) for names in permutations(range(4)))
        assert found[level] == best


def test_churn_can_be_weighted():
    old, new = np.array([[0, 0], [1, 0]]), np.array([[0, 0], [2, 0]])
    assert churn(old, new) == {"by_level": [0.5, 0.0], "anywhere": 0.5}
    assert churn(old, new, np.array([1, 3])) == {"by_level": [0.75, 0.0], "anywhere": 0.75}
