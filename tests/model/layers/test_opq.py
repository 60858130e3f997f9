"""SMILE section 2.2: two product codes of what the residual levels leave over."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_opq_equals_the_golden_codes_and_reconstructions(golden):
    from model.layers.opq import opq_codes

    for case in golden("opq_encode", "opq_encode"):
        got = opq_codes(*(case.tensor(name) for name in ("residual", "rotation", "codebooks")))
        np.testing.assert_array_equal(got.codes, case.case["expected"]["codes"], case.case["name"])
        case.agrees(got.reconstructed, case.case["expected"]["reconstructed"])


def test_residual_levels_before_it_equal_the_golden_codes(golden):
    from model.layers.rq import residual_codes

    for case in golden("opq_encode", "rq_encode"):
        got = residual_codes(case.tensor("x"), case.tensor("codebooks"))
        np.testing.assert_array_equal(got.codes, case.case["expected"]["codes"])
        case.agrees(got.residuals, case.case["expected"]["residuals"])
        case.agrees(np.sum(got.chosen, axis=1), case.case["expected"]["quantised"])


def test_the_last_two_codes_come_from_what_three_levels_left(golden):
    from model.layers.opq import opq_codes
    from model.layers.rq import residual_codes

    parts = {case.case["name"]: case for name in ("rq_encode", "opq_encode") for case in golden("opq_encode", name)}
    if not {"rq_part", "opq_part"} <= parts.keys():
        pytest.skip("needs the cases rq_part and opq_part, which this folder of vectors lacks")
    rq, opq = parts["rq_part"], parts["opq_part"]
    left = residual_codes(rq.tensor("x"), rq.tensor("codebooks")).residuals[:, 3]
    opq.agrees(left, opq.value("residual"))
    codes = opq_codes(left, opq.tensor("rotation"), opq.tensor("codebooks")).codes
    np.testing.assert_array_equal(codes, opq.case["expected"]["codes"])


def test_a_rotation_that_stretches_is_refused():
    from model.layers.opq import opq_codes

    with pytest.raises(ValueError, match="must be orthonormal within 0.0001, it is off by 3"):
        opq_codes(np.zeros([1, 4], "f"), 2 * np.eye(4, dtype="f"), np.zeros([2, 3, 2], "f"))


def test_shapes_that_do_not_fit_are_named():
    from model.layers.opq import opq_codes

    with pytest.raises(ValueError, match=r"codebooks \[S, K, D / S\], got \(1, 4\), \(4, 4\) and \(2, 3, 3\)"):
        opq_codes(np.zeros([1, 4], "f"), np.eye(4, dtype="f"), np.zeros([2, 3, 3], "f"))


def test_it_runs_inside_a_compiled_function():
    import tensorflow as tf

    from model.layers.opq import opq_codes

    rng = np.random.default_rng(0)
    given = [rng.normal(size=[6, 4]).astype("f"), np.eye(4, dtype="f")[::-1].copy(), rng.normal(size=[2, 5, 2]).astype("f")]
    np.testing.assert_array_equal(tf.function(opq_codes)(*given).codes, opq_codes(*given).codes)
