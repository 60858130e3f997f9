"""Codes that follow their contents: by hand, and that little changes where little has moved."""

import numpy as np

from features.sid import encode
from model.codebook_warm_start import moved_codebooks


def test_a_code_moves_to_the_middle_of_its_old_place_and_its_contents_by_hand():
    # Two contents a code on average: the old place counts as two. Then what is left over moves the second level.
    first, second = [[0.0], [10.0]], [[0.0], [1.0]]
    x = np.array([[1.0], [3.0], [10.0], [12.0]], np.float32)
    moved = moved_codebooks(np.array([first, second], np.float32), x)
    np.testing.assert_allclose(moved[0], [[1.0], [10.5]])  # (2 * 0 + 1 + 3) / 4, (2 * 10 + 10 + 12) / 4
    # Left over: 0, 2, -.5, 1.5; nearest to 0: 0 and -.5, to 1: 2 and 1.5.
    np.testing.assert_allclose(moved[1], [[-0.125], [1.375]])


def test_a_dead_code_goes_to_what_no_code_describes_and_stays_dead_otherwise():
    book = np.array([[[0.0], [5.0], [100.0]]], np.float32)
    x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [30.0]], np.float32)
    moved = moved_codebooks(book, x)
    assert moved[0, 2] == 30.0
    near = moved_codebooks(book, x[:-1])
    assert near[0, 2] == 100.0


def test_fewer_contents_than_codes_are_met_exactly_again():
    rng = np.random.default_rng(1)
    before = rng.normal(size=(20, 4)).astype(np.float32)
    codebooks = np.zeros((3, 64, 4), np.float32)
    codebooks[0, :20] = before
    now = np.concatenate([before + 0.01 * rng.normal(size=(20, 4)), rng.normal(size=(10, 4))]).astype(np.float32)
    moved = moved_codebooks(codebooks, now)
    found = encode(now, moved)
    assert not found.left_over.any()
    assert len(np.unique(found.codes, axis=0)) == 30


def test_contents_that_stayed_keep_their_codes_when_others_come():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 8))
    old = (centres[rng.integers(0, 30, 3000)] + 0.3 * rng.normal(size=(3000, 8))).astype(np.float32)
    codebooks = []
    left = old.copy()
    for _ in range(3):  # k-means enough for a test: contents themselves, then what is left of them
        codebooks.append(left[rng.permutation(len(left))[:32]])
        left = encode(left, codebooks[-1][None]).left_over
    codebooks = np.stack(codebooks)
    new_kind = (centres[30:].repeat(30, axis=0) + 0.3 * rng.normal(size=(300, 8))).astype(np.float32)
    before = codebooks.copy()
    moved = moved_codebooks(codebooks, np.concatenate([old, new_kind]))
    assert codebooks.tobytes() == before.tobytes()
    churn = (encode(old, moved).codes != encode(old, codebooks).codes).mean(axis=0)
    assert churn[0] < 0.15

    def error(books):
        return np.square(encode(np.concatenate([old, new_kind]), books).left_over).sum(axis=1).mean()

    assert error(moved) < error(codebooks)
