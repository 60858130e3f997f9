"""Balanced assignment against golden plans, and its limits."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layers.rq import residual_codes
from model.layers.sinkhorn import column_error, sinkhorn_codes, sinkhorn_plan

pytestmark = pytest.mark.tf


def options(case):
    return {name: case["inputs"][name] for name in ("epsilon", "iterations") if name in case["inputs"]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_plans_and_codes_are_met(load_golden, dtype):
    for case in load_golden("sinkhorn"):
        if case["function"] != "sinkhorn":
            continue
        expected, cost = case["expected"], np.asarray(case["inputs"]["cost"], dtype)
        plan = sinkhorn_plan(cost, **options(case))
        assert plan.dtype == dtype
        tight = {"rtol": 1e-9, "atol": 1e-11}
        loose = {"rtol": 1e-3, "atol": 1e-3 if case["inputs"].get("epsilon", 0.05) < 0.01 else 1e-4}
        tolerance = tight if dtype == "float64" else loose
        np.testing.assert_allclose(plan, expected["plan"], **tolerance, err_msg=case["name"])
        np.testing.assert_allclose(column_error(plan), expected["column_error"], **tolerance, err_msg=case["name"])
        np.testing.assert_array_equal(sinkhorn_codes(cost, **options(case)), expected["codes"], case["name"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_residual_levels_are_met(load_golden, dtype):
    for case in load_golden("sinkhorn"):
        if case["function"] != "rq_encode_sinkhorn":
            continue
        x, codebooks = (np.asarray(case["inputs"][name], dtype) for name in ("x", "codebooks"))
        got = residual_codes(x, codebooks, assign=lambda cost, case=case: sinkhorn_codes(cost, **options(case)))
        np.testing.assert_array_equal(got.codes, case["expected"]["codes"], case["name"])
        tolerance = {"rtol": 1e-9, "atol": 1e-11} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-6}
        np.testing.assert_allclose(got.residuals[:, -1], case["expected"]["residual"], **tolerance)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 8), seed=st.integers(0, 99), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_rows_always_sum_to_one_whatever_the_scale_of_the_cost(rows, columns, seed, scale):
    cost = np.random.default_rng(seed).random((rows, columns)).astype(np.float32) * np.float32(scale)
    plan = sinkhorn_plan(cost, iterations=10).numpy()
    assert np.isfinite(plan).all()
    np.testing.assert_allclose(plan.sum(axis=1), 1, atol=1e-5)


def test_a_crowd_at_one_code_is_spread():
    cost = np.ones((8, 4), np.float64) + np.random.default_rng(0).random((8, 4)) * 0.1
    cost[:, 2] = 0
    assert set(np.argmin(cost, axis=1)) == {2}
    assert len(set(sinkhorn_codes(cost).numpy())) == 4


@pytest.mark.parametrize(("shape", "epsilon", "iterations"), [((3,), 0.1, 5), ((2, 2), 0, 5), ((2, 2), 1, -1)])
def test_bad_arguments_are_named(shape, epsilon, iterations):
    with pytest.raises(ValueError, match="expected cost"):
        sinkhorn_plan(np.zeros(shape), epsilon, iterations)


def test_it_runs_inside_a_compiled_function():
    cost = tf.random.stateless_uniform([12, 4], [1, 2])
    np.testing.assert_array_equal(tf.function(sinkhorn_codes)(cost), sinkhorn_codes(cost))
