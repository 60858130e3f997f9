"""Residual quantiser in TensorFlow, against the golden codes and the NumPy reference."""

import numpy as np
import pytest
import tensorflow as tf

from features.sid import quantise
from model.layers.rq import chosen_vectors, residual_codes

pytestmark = pytest.mark.tf
TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-11}}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_golden_codes_and_residuals_are_met(load_golden, dtype):
    for case in load_golden("rq_encode"):
        if case["function"] != "rq_encode":
            continue
        x, codebooks = (np.asarray(case["inputs"][name], dtype) for name in ("x", "codebooks"))
        got = residual_codes(x, codebooks)
        np.testing.assert_array_equal(got.codes, case["expected"]["codes"], case["name"])
        np.testing.assert_allclose(got.residuals, case["expected"]["residuals"], **TOLERANCE[dtype], err_msg=case["name"])
        np.testing.assert_allclose(tf.reduce_sum(got.chosen, 1), case["expected"]["quantised"], **TOLERANCE[dtype])


def test_codes_equal_those_of_the_numpy_reference():
    rng = np.random.default_rng(3)
    x, codebooks = rng.normal(size=(500, 16)), rng.normal(size=(4, 64, 16)) * np.array([1, 0.6, 0.4, 0.3])[:, None, None]
    np.testing.assert_array_equal(residual_codes(x, codebooks).codes, quantise(x, codebooks).codes)


def test_a_missing_code_gives_the_zero_vector_and_no_gradient():
    codebooks = tf.Variable(np.random.default_rng(0).normal(size=(2, 4, 3)))
    with tf.GradientTape() as tape:
        vectors = chosen_vectors(tf.constant([[1, -1], [-1, 3]]), codebooks)
        total = tf.reduce_sum(vectors)
    assert not np.any([vectors[0, 1], vectors[1, 0]])
    np.testing.assert_array_equal(vectors[0, 0], codebooks[0, 1])
    gradient = tf.convert_to_tensor(tape.gradient(total, codebooks)).numpy()
    assert [gradient[0, 1].sum(), gradient[1, 3].sum(), gradient.sum()] == [3, 3, 6]


@pytest.mark.parametrize("codes", [[[4, 0]], [[0, -2]]])
def test_codes_out_of_range_are_refused(codes):
    with pytest.raises(tf.errors.InvalidArgumentError, match="a code is"):
        chosen_vectors(tf.constant(codes), tf.zeros([2, 4, 3]))


def test_a_width_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"\(2, 5\) and \(2, 4, 3\)"):
        residual_codes(tf.zeros([2, 5]), tf.zeros([2, 4, 3]))


def test_no_gradient_flows_through_the_choice():
    x, codebooks = tf.Variable(tf.random.stateless_normal([6, 3], [1, 2])), tf.random.stateless_normal([2, 4, 3], [3, 4])
    with tf.GradientTape() as tape:
        last = tf.reduce_sum(residual_codes(x, codebooks).residuals[:, -1])
    np.testing.assert_array_equal(tape.gradient(last, x), np.ones([6, 3]))
