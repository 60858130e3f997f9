"""SaviorRec Eq. 11-15: four blocks, each kind of likeness pooling each kind of history."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

CALL = ("h_cand", "z_cand", "h_seq", "z_seq", "mask")
BLOCKS, KERNELS = ("b", "m", "b2m", "m2b"), ("wq", "wk", "wv")


def test_bidirectional_attention_equals_the_golden_numbers_and_gradients(golden):
    from model.layers.bidirectional_attention import BidirectionalAttention

    for case in golden("bidirectional_attention", "bidirectional_attention"):
        behaviour, units = np.shape(case.value("blocks.b.wq"))
        layer = BidirectionalAttention(
            behaviour, len(case.value("blocks.m.wq")), units, case.value("heads"), dtype=case.dtype)
        given = [case.tf.constant(case.value(name)) if name == "mask" else case.tensor(name) for name in CALL]
        layer(*given)
        kernels = {f"blocks.{block}.{name}": getattr(getattr(layer, block), name) for block in BLOCKS for name in KERNELS}
        for path, kernel in kernels.items():
            case.fill(kernel, case.value(path))
        result = layer(*given)
        for name, expected in case.case["expected"].items():
            case.agrees(getattr(result, name), expected)
        sources = dict(zip(CALL[:4], given[:4], strict=True)) | kernels
        case.check_gradients(lambda layer=layer, given=given: layer(*given)._asdict(), sources)


def test_a_candidate_may_know_more_than_its_history():
    import tensorflow as tf

    from model.layers.bidirectional_attention import BidirectionalAttention

    layer = BidirectionalAttention(4, 6, units=4, heads=2, candidate_width=7, gain=1.0)
    rest = (tf.zeros([2, 6]), tf.zeros([2, 5, 4]), tf.zeros([2, 5, 6]), tf.ones([2, 5], tf.bool))
    assert layer(tf.zeros([2, 7]), *rest).output.shape == (2, 16)
    with pytest.raises(ValueError, match=r"`query` must have 7 columns, got shape \(2, 4\)"):
        layer(tf.zeros([2, 4]), *rest)


def test_content_alone_decides_what_behaviour_it_pools():
    import tensorflow as tf

    from model.layers.bidirectional_attention import BidirectionalAttention

    content = tf.math.l2_normalize(tf.constant(np.random.default_rng(0).normal(size=[1, 6, 8]), tf.float32), axis=-1)
    behaviour = tf.eye(6, 8)[tf.newaxis]
    layer = BidirectionalAttention(8, 8, units=8, gain=4.0, content_gain=4.0)
    result = layer(behaviour[:, 1], content[:, 4], behaviour, content, tf.ones([1, 6], tf.bool))
    assert result.h_m2b.numpy().argmax() == 4
    assert result.h_b.numpy().argmax() == 1
