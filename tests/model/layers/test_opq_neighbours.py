"""SMILE Eq. 7: which OPQ codes resemble each other."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_neighbours_equal_the_golden_sets_and_start_with_the_code_itself(golden):
    from model.layers.opq_neighbours import opq_neighbours

    for case in golden("smile_opq_contrast", "opq_neighbours"):
        options = {"count": case.inputs["top"]} if "top" in case.inputs else {}
        got, expected = opq_neighbours(case.tensor("codebooks"), **options).numpy(), np.asarray(case.case["expected"]["value"])
        np.testing.assert_array_equal(np.sort(got, axis=-1), np.sort(expected, axis=-1))
        np.testing.assert_array_equal(got[..., 0], np.broadcast_to(np.arange(got.shape[1]), got.shape[:2]))


def test_a_code_of_zeros_is_its_own_neighbour():
    from model.layers.opq_neighbours import opq_neighbours

    codebook = np.zeros([1, 20, 3], "f")
    codebook[0, :19] = np.random.default_rng(0).normal(size=[19, 3])
    assert opq_neighbours(codebook)[0, 19, 0] == 19
