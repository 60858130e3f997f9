"""SaviorRec Eq. 6-9: behaviour corrects content."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def mba_like(case):
    """A layer with the sizes and weights of the case."""
    from model.layers.mba import Mba

    codebooks, layers = np.asarray(case.value("codebooks")), case.inputs["layers"]
    options = {"epsilon": case.inputs["epsilon"]} if "epsilon" in case.inputs else {}
    layer = Mba(
        *codebooks.shape, content_width=np.shape(case.value("z"))[1],
        hidden=[len(given["kernel"][0]) for given in layers[:-1]], dtype=case.dtype, **options)
    layer(case.tensor("z"), case.tf.constant(case.value("codes")))
    for table, values in zip(layer.codebooks.tables, codebooks, strict=True):
        case.fill(table, values)
    for dense, given in zip(layer.mlp.dense, layers, strict=True):
        case.fill(dense.kernel, given["kernel"])
    return layer


def test_mba_equals_the_golden_numbers_and_gradients(golden):
    for case in golden("mba", "mba"):
        layer = mba_like(case)
        z, codes = case.tensor("z"), case.tf.constant(case.value("codes"))
        for name, expected in case.case["expected"].items():
            case.agrees(getattr(layer(z, codes), name), expected)
        sources = {"z": z, "codebooks": list(layer.codebooks.tables)} | {
            f"layers.{n}.kernel": dense.kernel for n, dense in enumerate(layer.mlp.dense)}
        case.check_gradients(lambda layer=layer, z=z, codes=codes: layer(z, codes)._asdict(), sources)


@pytest.fixture
def content():
    return np.random.default_rng(1).normal(size=[3, 4]).astype("f")


def test_a_fresh_layer_gives_content_bit_for_bit_and_can_learn(content):
    import tensorflow as tf

    from model.layers.mba import Mba

    layer = Mba(levels=2, codes=5, width=3, content_width=4)
    codes = np.int32([[0, 1], [4, -1], [-1, -1]])
    with tf.GradientTape() as tape:
        aligned = layer(content, codes).z_align
        total = tf.reduce_sum(aligned * content)
    np.testing.assert_array_equal(aligned, content)
    gradients = [np.abs(tf.convert_to_tensor(gradient)) for gradient in tape.gradient(total, layer.codebooks.tables)]
    assert gradients[0][0].min() > 0
    assert np.max(gradients) < 1e4


def test_an_item_without_a_sid_keeps_its_content_whatever_was_learnt(content):
    from model.layers.mba import Mba

    layer = Mba(levels=2, codes=5, width=3, content_width=4)
    layer(content, np.zeros([3, 2], np.int32))
    for table in layer.codebooks.tables:
        table.assign(np.ones([5, 3], "f"))
    aligned = layer(content, np.int32([[0, 1], [0, 1], [-1, -1]])).z_align.numpy()
    np.testing.assert_array_equal(aligned[2], content[2])
    assert np.abs(aligned[:2] - content[:2]).min() > 0


def test_a_quiet_start_corrects_little(content):
    import tensorflow as tf

    from model.layers.mba import Mba

    def correction(gain):
        tf.keras.utils.set_random_seed(1)
        layer = Mba(levels=2, codes=5, width=3, content_width=4, gain=gain)
        layer(content, np.zeros([3, 2], np.int32))
        for table in layer.codebooks.tables:
            table.assign(np.ones([5, 3], "f"))
        return layer(content, np.zeros([3, 2], np.int32)).v_align.numpy()

    np.testing.assert_allclose(correction(0.1), 0.1 * correction(1.0), rtol=1e-4)


def test_histories_keep_their_axes_and_wrong_widths_are_named(content):
    from model.layers.mba import Mba

    layer = Mba(levels=2, codes=5, width=3, content_width=4)
    assert layer(np.zeros([2, 7, 4], "f"), np.zeros([2, 7, 2], np.int32)).z_align.shape == (2, 7, 4)
    with pytest.raises(ValueError, match=r"`content` must have 4 columns, got shape \(2, 5\)"):
        layer(np.zeros([2, 5], "f"), np.zeros([2, 2], np.int32))
    with pytest.raises(ValueError, match=r"`codes` must have 2 columns, got shape \(3, 3\)"):
        layer(content, np.zeros([3, 3], np.int32))
