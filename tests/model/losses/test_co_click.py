"""InfoNCE on co-click pairs against golden values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from model.losses.co_click import pair_infonce

pytestmark = pytest.mark.tf
FORWARD = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-11}}
GRADIENT = {"float32": (1e-4, 1e-5), "float64": (1e-6, 1e-8)}


@pytest.mark.parametrize("dtype", FORWARD)
def test_golden_losses_and_gradients_are_met(load_golden, dtype):
    for case in load_golden("rqvae_losses"):
        if case["function"] != "pair_infonce":
            continue
        given = case["inputs"]
        anchor, positive = (tf.Variable(np.asarray(given[name], dtype)) for name in ("anchor", "positive"))
        with tf.GradientTape() as tape:
            per_row = pair_infonce(anchor, positive, tf.constant(given["anchor_ids"]), tf.constant(given["positive_ids"]))
            loss = tf.reduce_mean(per_row)
        np.testing.assert_allclose(per_row, case["expected"]["per_row"], **FORWARD[dtype], err_msg=case["name"])
        np.testing.assert_allclose(loss, case["expected"]["loss"], **FORWARD[dtype], err_msg=case["name"])
        if "gradients" not in case:
            continue
        relative, absolute = GRADIENT[dtype]
        got = dict(zip(("anchor", "positive"), tape.gradient(loss, [anchor, positive]), strict=True))
        for name, wanted in case["gradients"]["wrt"].items():
            wanted = np.asarray(wanted)
            assert np.abs(got[name] - wanted).max() <= relative * np.abs(wanted).max() + absolute, (case["name"], name)


def test_only_pairs_of_other_items_push_apart():
    rng = np.random.default_rng(1)
    anchor, positive = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    alone = pair_infonce(anchor[:1], positive[:1], tf.constant([1]), tf.constant([2]))
    crowded = pair_infonce(anchor, positive, tf.constant([1, 1, 2]), tf.constant([2, 2, 1]))
    assert alone[0] == 0
    np.testing.assert_allclose(crowded, 0, atol=1e-12)


def test_zero_vectors_give_finite_gradients():
    anchor = tf.Variable(tf.zeros([2, 3]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(pair_infonce(anchor, tf.ones([2, 3]), tf.constant([0, 1]), tf.constant([2, 3])))
    assert np.isfinite(tape.gradient(loss, anchor)).all()


def test_the_share_of_an_item_is_taken_from_its_logits_by_hand():
    anchor, positive = np.eye(2), np.array([[1.0, 0.0], [1.0, 0.0]])
    share = np.array([0.1, 0.2, 0.3, 0.4])  # of items 0, 1, 2, 3, as anchors and positives stand in the pool
    loss = pair_infonce(anchor, positive, tf.constant([0, 1]), tf.constant([2, 3]), 1.0, tf.constant(np.log(share)))
    # Pair 0-2 (cosine 1) against items 1 (cosine 0) and 3 (cosine 1); pair 1-3 (0) against 0 (0) and 2 (0).
    match, others = np.e / 0.3, 1 / 0.2 + np.e / 0.4
    np.testing.assert_allclose(loss[0], np.log((match + others) / match), rtol=1e-9)
    match, others = 1 / 0.4, 1 / 0.1 + 1 / 0.3
    np.testing.assert_allclose(loss[1], np.log((match + others) / match), rtol=1e-9)
