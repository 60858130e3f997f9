"""How much of the candidate was pooled from the history."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_columns_are_the_product_and_its_scaled_sum():
    from model.layers.match import match_columns

    np.testing.assert_array_equal(match_columns(np.float32([[1, 2]]), np.float32([[3, -1]]), 10.0), [[3, -2, 10]])


def test_a_candidate_that_was_never_trained_matches_nothing():
    from model.layers.match import match_columns

    np.testing.assert_array_equal(match_columns(np.zeros([1, 2], "f"), np.ones([1, 2], "f"), 10.0), [[0, 0, 0]])
