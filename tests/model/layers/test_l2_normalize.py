"""Length 1, with a bounded slope at zero (R2)."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_length_is_one_from_a_hundredth_on_and_linear_below():
    from model.layers.l2_normalize import l2_normalize

    given = np.float32([[3, 4], [0.006, 0.008], [0.003, 0.004], [0, 0]])
    np.testing.assert_allclose(l2_normalize(given), [[0.6, 0.8], [0.6, 0.8], [0.3, 0.4], [0, 0]], rtol=1e-5)


def test_zero_vectors_have_bounded_gradients():
    import tensorflow as tf

    from model.layers.l2_normalize import l2_normalize

    vector = tf.zeros([1, 3])
    with tf.GradientTape() as tape:
        tape.watch(vector)
        total = tf.reduce_sum(l2_normalize(vector))
    np.testing.assert_allclose(tape.gradient(total, vector), np.full([1, 3], 100.0), rtol=1e-5)
