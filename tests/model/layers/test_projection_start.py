"""How attention projections start."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_a_gain_starts_at_the_identity_also_where_the_query_has_more_columns():
    from model.layers.projection_start import projection_start

    np.testing.assert_array_equal(projection_start(2.0)([3, 2]), [[2, 0], [0, 2], [0, 0]])


def test_without_a_gain_the_start_is_random():
    from model.layers.projection_start import projection_start

    assert np.unique(projection_start(None)([3, 3])).size == 9


def test_a_candidate_attends_to_its_like_before_anything_is_learnt():
    import tensorflow as tf

    from model.layers.shared_attention import SharedAttention

    history = tf.math.l2_normalize(tf.constant(np.random.default_rng(0).normal(size=[1, 6, 8]), tf.float32), axis=-1)
    layer = SharedAttention(8, 8, sid_gain=2.0, item_gain=2.0)
    result = layer(history[:, 4], history[:, 2], history, history, tf.ones([1, 6], tf.bool), tf.fill([1, 1], 0.5))
    assert result.s_sid.numpy().argmax() == 4
    assert result.s_item.numpy().argmax() == 2
