"""Matching by hand, by brute force, and that a renamed codebook says the same."""

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.errors import ArtefactError, DataError
from features.layout import Layout
from features.sid import quantise
from model.codebook_matching import churn, match_to, matching, renamed


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


def test_what_cannot_be_matched_is_refused(tmp_path):
    layout = Layout(tmp_path)
    with pytest.raises(ArtefactError, match="no semantic ids of codebook cb-1"):
        match_to(layout, "cb-1", ["a"], np.zeros((1, 4), np.int32), 256)
    write_deltalake(layout.table("semantic_ids"), pa.table({
        "item_id": ["a"], "codes": pa.array([[1, 2, 3, 99]], pa.list_(pa.int32())),
        "assigned_at": pa.array([0], pa.timestamp("us", "UTC")), "codebook_version": ["cb-1"]}),
        partition_by=["codebook_version"])
    with pytest.raises(DataError, match="have 4 codes up to 99, expected 4 below 64"):
        match_to(layout, "cb-1", ["a"], np.zeros((1, 4), np.int32), 64)
    with pytest.raises(DataError, match="expected 3 below 256"):
        match_to(layout, "cb-1", ["a"], np.zeros((1, 3), np.int32), 256)
    with pytest.raises(ArtefactError, match="none of 1 items has a SID of cb-1"):
        match_to(layout, "cb-1", ["b"], np.zeros((1, 4), np.int32), 256)
    places, figures = match_to(layout, "cb-1", ["b", "a"], np.array([[0] * 4, [5] * 4], np.int32), 256)
    assert [places[level, code] for level, code in enumerate([1, 2, 3, 99])] == [5] * 4
    assert (figures["items"], figures["as_trained"]["anywhere"], figures["matched"]["anywhere"]) == (1, 1.0, 0.0)
