"""Semantic IDs: the golden codes, the limits, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.sid import ROWS_AT_ONCE, Opq, SemanticId, decode, encode, quantise

TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-11}}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_golden_codes_residuals_and_sums_are_met(load_golden, dtype):
    for case in load_golden("rq_encode"):
        codebooks = np.asarray(case["inputs"]["codebooks"], dtype)
        if case["function"] == "rq_decode":
            got = decode(case["inputs"]["codes"], codebooks)
            np.testing.assert_allclose(got, case["expected"]["value"], **TOLERANCE[dtype], err_msg=case["name"])
            continue
        got = quantise(np.asarray(case["inputs"]["x"], dtype), codebooks)
        np.testing.assert_array_equal(got.codes, case["expected"]["codes"], case["name"])
        np.testing.assert_allclose(got.quantised, case["expected"]["quantised"], **TOLERANCE[dtype], err_msg=case["name"])
        np.testing.assert_allclose(got.residuals, case["expected"]["residuals"], **TOLERANCE[dtype], err_msg=case["name"])
        assert got.quantised.dtype == got.residuals.dtype == dtype


def test_hand_arithmetic():
    codebooks = np.array([[[0.0, 0.0], [4.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]]])
    got = quantise(np.array([[3.0, 0.0]]), codebooks)
    assert got.codes.tolist() == [[1, 1]]
    assert got.quantised.tolist() == [[3.0, 0.0]]
    assert got.residuals.tolist() == [[[3.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]]


arrays = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed))


@settings(max_examples=50, deadline=None)
@given(arrays, st.integers(1, 90), st.integers(1, 4), st.integers(1, 20), st.integers(1, 8))
def test_decode_of_the_codes_is_the_sum_of_the_chosen_vectors(rng, rows, levels, size, width):
    x, codebooks = rng.normal(size=(rows, width)), rng.normal(size=(levels, size, width))
    got = quantise(x, codebooks)
    by_hand = sum(codebooks[level][got.codes[:, level]] for level in range(levels))
    np.testing.assert_allclose(decode(got.codes, codebooks), by_hand, atol=1e-12)
    np.testing.assert_allclose(x - got.quantised, got.residuals[:, -1], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(arrays, st.lists(st.integers(0, 150), max_size=6))
def test_a_row_gets_the_same_codes_in_every_batch(rng, cuts):
    x = rng.normal(size=(150, 8)).astype(np.float32)
    codebooks = rng.normal(size=(4, 32, 8)).astype(np.float32)
    whole = quantise(x, codebooks)
    bounds = [0, *sorted(cuts), len(x)]
    parts = [quantise(x[a:b], codebooks) for a, b in zip(bounds, bounds[1:], strict=False)]
    assert np.concatenate([part.residuals for part in parts]).tobytes() == whole.residuals.tobytes()
    assert np.concatenate([part.codes for part in parts]).tobytes() == whole.codes.tobytes()


def test_a_missing_code_adds_nothing():
    codebooks = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(decode([[-1, -1], [-1, 2]], codebooks), [np.zeros(4), codebooks[1, 2]])


def test_no_rows_give_no_codes():
    got = quantise(np.zeros((0, 4), np.float32), np.zeros((2, 3, 4), np.float32))
    assert got.codes.shape == (0, 2)
    assert got.residuals.shape == (0, 3, 4)


@pytest.mark.parametrize(("codes", "message"), [
    ([[0, 3]], "0 to 3"), ([[0, -2]], "-2 to 0"), ([[0]], r"\[B, 2\]"), ([[0.0, 1.0]], "integer codes"),
    ([0, 1], "integer codes")])
def test_codes_that_no_codebook_holds_are_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        decode(codes, np.zeros((2, 3, 4)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_their_rows_named(bad):
    x = np.zeros((3, 4))
    x[1, 2] = bad
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        quantise(x, np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="codebooks hold NaN"):
        quantise(np.zeros((3, 4)), np.full((2, 3, 4), bad))


@pytest.mark.parametrize("shape", [(3, 5), (3,), (3, 4, 1)])
def test_a_width_that_does_not_fit_is_named(shape):
    with pytest.raises(ValueError, match=r"\[B, 4\]"):
        quantise(np.zeros(shape), np.zeros((2, 3, 4)))


@pytest.mark.parametrize("codebooks", [np.zeros((2, 3)), np.zeros((0, 3, 4)), np.zeros((2, 3, 4), np.int64)])
def test_codebooks_of_another_form_are_refused(codebooks):
    with pytest.raises(ValueError, match="expected codebooks"):
        decode(np.zeros((1, 2), np.int64), codebooks)


def test_a_semantic_id_is_four_codes_or_none():
    assert str(SemanticId((0, 255, 3, 7), "cb-1")) == "0.255.3.7"
    assert SemanticId((-1, -1, -1, -1), "cb-1").is_missing
    for codes in [(0, 1, 2), (0, 1, 2, 256), (-1, 0, 0, 0), (0, 1, 2, 3.0)]:
        with pytest.raises(ValueError, match="a SID is 4 integers"):
            SemanticId(codes, "cb-1")


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_golden_opq_codes_are_met(load_golden, dtype):
    seen = 0
    for case in load_golden("opq_encode"):
        given = {name: np.asarray(value, dtype) for name, value in case["inputs"].items()}
        if case["function"] == "rq_encode":
            got = quantise(given["x"], given["codebooks"])
            np.testing.assert_array_equal(got.codes, case["expected"]["codes"], case["name"])
            continue
        got = Opq(given["rotation"], given["codebooks"]).encode(given["residual"])
        np.testing.assert_array_equal(got.codes, case["expected"]["codes"], case["name"])
        np.testing.assert_allclose(
            got.reconstructed, case["expected"]["reconstructed"], **TOLERANCE[dtype], err_msg=case["name"])
        seen += 1
    assert seen


def rotation_of(rng, width):
    return np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(arrays, st.lists(st.integers(0, 150), max_size=6))
def test_a_row_gets_the_same_opq_codes_in_every_batch(rng, cuts):
    residual = rng.normal(size=(150, 16)).astype(np.float32)
    opq = Opq(rotation_of(rng, 16), rng.normal(size=(2, 32, 8)).astype(np.float32))
    bounds = [0, *sorted(cuts), len(residual)]
    parts = [opq.encode(residual[a:b]).codes for a, b in zip(bounds, bounds[1:], strict=False)]
    assert np.concatenate(parts).tobytes() == opq.encode(residual).codes.tobytes()


def test_an_opq_that_does_not_fit_is_refused():
    eye, books = np.eye(4), np.zeros((2, 3, 2))
    with pytest.raises(ValueError, match="orthonormal within 0.0001, it is off by 3"):
        Opq(eye * 2, books)
    with pytest.raises(ValueError, match=r"rotation as \[4, 4\].*got \(3, 3\)"):
        Opq(np.eye(3), books)
    with pytest.raises(ValueError, match="orthonormal"):
        Opq(eye * np.nan, books)
    with pytest.raises(ValueError, match=r"residuals as \[B, 4\], got \(2, 5\)"):
        Opq(eye, books).encode(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="must be finite; rows"):
        Opq(eye, books).encode(np.full((1, 4), np.nan))


@settings(max_examples=60, deadline=None)
@given(arrays, st.sampled_from(["float32", "float64"]), st.sampled_from([1e-6, 1.0, 1e6]), st.booleans())
def test_codes_are_those_of_the_differences_also_where_codes_are_a_rounding_apart(rng, dtype, scale, near):
    codebook = rng.normal(size=(40, 8))
    if near:  # each code has a twin at the distance of a few roundings, and rows lie in the middle
        codebook[20:] = codebook[:20] * (1 + rng.integers(0, 4, (20, 1)) * np.finfo(dtype).eps)
    x = np.concatenate([rng.normal(size=(50, 8)), (codebook[:20] + codebook[20:]) / 2, codebook[:5]])
    x, codebook = (scale * x).astype(dtype), (scale * codebook).astype(dtype)
    expected = np.square(x[:, None] - codebook).sum(axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(encode(x, codebook[None]).codes[:, 0], expected)


def test_numbers_too_large_for_a_product_are_decided_by_their_differences():
    x = np.array([[3e25, 0], [0, 0]], np.float32)
    codebook = np.array([[1, 0], [3e25, 0]], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        assert encode(x, codebook[None]).codes[:, 0].tolist() == [1, 0]


def test_blocks_beyond_the_first_are_encoded_alike_and_leave_over_what_quantise_says():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2 * ROWS_AT_ONCE + 7, 8)).astype(np.float32)
    codebooks = rng.normal(size=(3, 16, 8)).astype(np.float32)
    before = x.copy()
    codes, left_over = encode(x, codebooks)
    assert x.tobytes() == before.tobytes()
    one_by_one = [encode(row[None], codebooks) for row in x]
    assert codes.tobytes() == np.concatenate([one.codes for one in one_by_one]).tobytes()
    assert left_over.tobytes() == np.concatenate([one.left_over for one in one_by_one]).tobytes()
    assert left_over.tobytes() == quantise(x, codebooks).residuals[:, -1].tobytes()
