"""Softmax over real positions (R5)."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_padding_gets_nothing_whatever_it_holds():
    import tensorflow as tf

    from model.layers.masked_softmax import masked_softmax

    scores = masked_softmax(tf.constant([[0, np.log(3), 1e30]], tf.float32), tf.constant([[True, True, False]]))
    np.testing.assert_allclose(scores, [[0.25, 0.75, 0]], rtol=1e-6)


def test_nothing_real_gives_zeros_and_a_zero_gradient():
    import tensorflow as tf

    from model.layers.masked_softmax import masked_softmax

    logits = tf.constant([[5.0, -1000.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        scores = masked_softmax(logits, tf.constant([[False, False]]))
    np.testing.assert_array_equal(scores, [[0, 0]])
    np.testing.assert_array_equal(tape.gradient(scores, logits), [[0, 0]])


def test_large_logits_do_not_overflow():
    import tensorflow as tf

    from model.layers.masked_softmax import masked_softmax

    np.testing.assert_allclose(masked_softmax(tf.constant([[1e4, 1e4]]), tf.constant([[True, True]])), [[0.5, 0.5]])
