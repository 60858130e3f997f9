"""SMILE Eq. 7: items of similar OPQ codes come close."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

FLOATS, INTEGERS = ("opq_emb", "extra_emb"), ("opq_codes", "item_ids", "neighbours", "extra_codes", "extra_ids")


def test_contrast_equals_the_golden_masks_numbers_and_gradients(golden):
    from model.losses.opq_contrast import opq_contrast

    for case in golden("smile_opq_contrast", "opq_contrast"):
        floats = {name: case.tensor(name) for name in FLOATS if name in case.inputs}
        rest = {name: case.tf.constant(case.value(name)) for name in INTEGERS if name in case.inputs}
        options = {"temperature": case.inputs["temperature"]} if "temperature" in case.inputs else {}

        def compute(floats=floats, rest=rest, options=options):
            return opq_contrast(**floats, **rest, **options)._asdict()

        result = compute()
        for name in ("positive", "negative"):
            np.testing.assert_array_equal(result[name], case.case["expected"][name], case.case["name"])
        for name in ("per_row", "loss"):
            case.agrees(result[name], case.case["expected"][name])
        case.check_gradients(compute, floats)


@pytest.fixture
def neighbours():
    """8 codes in a ring, each with the one before and the one after it."""
    ring = np.arange(8)
    return np.tile(np.stack([ring, (ring + 1) % 8, (ring - 1) % 8], axis=-1), [2, 1, 1]).astype(np.int32)


def test_both_sub_codes_must_be_near(neighbours):
    from model.losses.opq_contrast import opq_contrast

    codes = np.int32([[0, 0], [1, 7], [1, 4], [4, 4]])
    result = opq_contrast(np.eye(4, dtype="f"), codes, np.arange(4), neighbours)
    assert np.argwhere(result.positive).tolist() == [[0, 1], [1, 0]]


def test_an_item_without_codes_is_neither_anchor_nor_positive_nor_negative(neighbours):
    import tensorflow as tf

    from model.losses.opq_contrast import opq_contrast

    codes = np.int32([[0, 0], [1, 1], [-1, -1], [0, -1], [4, 4]])
    emb = tf.constant(np.random.default_rng(0).normal(size=[5, 4]) * [[1], [1], [0], [1], [1]], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(emb)
        result = opq_contrast(emb, codes, np.arange(5), neighbours)
    for mask in (result.positive.numpy(), result.negative.numpy()):
        assert not mask[2:4].any()
        assert not mask[:, 2:4].any()
    assert result.loss > 0
    gradient = tape.gradient(result.loss, emb).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[2:4].any()


def test_a_batch_without_any_code_has_no_loss_and_no_gradient(neighbours):
    import tensorflow as tf

    from model.losses.opq_contrast import opq_contrast

    emb = tf.zeros([3, 4])
    with tf.GradientTape() as tape:
        tape.watch(emb)
        loss = opq_contrast(emb, tf.fill([3, 2], -1), tf.range(3), neighbours).loss
    assert loss == 0
    np.testing.assert_array_equal(tape.gradient(loss, emb), np.zeros([3, 4]))
