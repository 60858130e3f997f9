"""SMILE Eq. 6: who teaches whom."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

CALL = ("id_emb", "rq_emb", "semantic_weight")


def test_transfer_equals_the_golden_numbers_and_gradients_and_no_stop_is_forgotten(golden):
    from model.losses.transfer import transfer_loss

    for case in golden("smile_transfer_loss", "transfer_loss"):
        given = {name: case.tensor(name) for name in CALL}

        def compute(given=given):
            return transfer_loss(**given)._asdict()

        for name, expected in case.case["expected"].items():
            case.agrees(compute()[name], expected)
        case.check_gradients(compute, given)


@pytest.mark.parametrize(("weight", "moves"), [(1.0, "id_emb"), (0.0, "rq_emb")])
def test_a_cold_item_moves_its_id_and_a_warm_one_its_sid(weight, moves):
    import tensorflow as tf

    from model.losses.transfer import transfer_loss

    rng = np.random.default_rng(2)
    given = {name: tf.constant(rng.normal(size=[4, 5])) for name in CALL[:2]}
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = transfer_loss(**given, semantic_weight=tf.fill([4, 1], tf.constant(weight, tf.float64))).loss
    gradients = tape.gradient(loss, given, unconnected_gradients="zero")
    assert {name for name, gradient in gradients.items() if np.any(gradient)} == {moves}


def test_unequal_widths_are_refused_by_name():
    from model.losses.transfer import transfer_loss

    with pytest.raises(ValueError, match=r"`rq_emb` must have 4 columns, got shape \(2, 3\)"):
        transfer_loss(np.zeros([2, 4], "f"), np.zeros([2, 3], "f"), np.zeros([2, 1], "f"))
