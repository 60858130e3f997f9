"""Every loss alike: finite values and gradients whatever the batch lacks."""

import importlib
import pkgutil

import numpy as np
import pytest

import model.losses

pytestmark = pytest.mark.tf

ROWS, WIDTH = 4, 4


def drawn():
    """Two kinds of embeddings, logits, labels, codes and ids of one batch."""
    rng = np.random.default_rng(4)
    return {
        "first": rng.normal(size=[ROWS, WIDTH]).astype("f"), "second": rng.normal(size=[ROWS, WIDTH]).astype("f"),
        "logits": rng.normal(size=[ROWS]).astype("f"), "clicks": np.float32([1, 0, 1, 0]), "orders": np.float32([1, 0, 0, 0]),
        "weight": rng.random([ROWS, 1]).astype("f"), "ids": np.arange(ROWS),
        "codes": np.int32([[0, 1], [0, 1], [2, 2], [1, 2]])}


HARD = {
    "vectors are zero": {"first": np.zeros([ROWS, WIDTH], "f"), "second": np.zeros([ROWS, WIDTH], "f")},
    "one side is zero": {"first": np.zeros([ROWS, WIDTH], "f")},
    "vectors are equal": {"first": np.ones([ROWS, WIDTH], "f"), "second": np.ones([ROWS, WIDTH], "f")},
    "vectors are huge": {"first": np.full([ROWS, WIDTH], 1e6, "f"), "second": -np.full([ROWS, WIDTH], 1e6, "f")},
    "one item": {"ids": np.zeros(ROWS, int)},
    "no codes": {"codes": np.full([ROWS, 2], -1, np.int32)},
    "no row has a positive": {"codes": np.int32([[0, 0], [0, 2], [2, 0], [2, 2]])},
    "some codes": {"codes": np.int32([[0, -1], [0, 1], [-1, -1], [0, 1]])},
    "nobody clicked": {"clicks": np.zeros(ROWS, "f"), "orders": np.zeros(ROWS, "f")},
    "everybody ordered": {"clicks": np.ones(ROWS, "f"), "orders": np.ones(ROWS, "f")},
    "logits are huge": {"logits": np.float32([200, -200, -1000, 1000])},
    "the gate is open": {"weight": np.ones([ROWS, 1], "f")},
    "the gate is shut": {"weight": np.zeros([ROWS, 1], "f")},
}


def losses():
    """Each module of losses → (its loss as a scalar, its float inputs)."""
    import tensorflow as tf

    from model.losses.co_click import pair_infonce
    from model.losses.contrastive import gated_infonce
    from model.losses.esmm import esmm
    from model.losses.opq_contrast import opq_contrast
    from model.losses.rqvae import rqvae_losses
    from model.losses.smile import smile_total
    from model.losses.transfer import transfer_loss

    near = np.int32([[[0, 1], [1, 0], [2, 2]]] * 2)

    def transfer(g):
        return transfer_loss(g["first"], g["second"], g["weight"]).loss

    def contrast(g):
        return opq_contrast(g["first"], g["codes"], g["ids"], near).loss

    def both_tasks(g):
        return esmm(g["logits"], g["logits"], g["clicks"], g["orders"]).loss

    return {
        "co_click": (lambda g: tf.reduce_mean(pair_infonce(g["first"], g["second"], g["ids"], g["ids"] + 1)), "first second"),
        "contrastive": (lambda g: gated_infonce(g["first"], g["second"], g["weight"], g["ids"]).loss, "first second weight"),
        "esmm": (both_tasks, "logits"),
        "opq_contrast": (contrast, "first"),
        "rqvae": (
            lambda g: rqvae_losses(
                g["first"], g["second"], tf.stack([g["first"], g["second"]]), g["codes"], tf.identity, g["ids"]).total,
            "first second"),
        "smile": (lambda g: smile_total(both_tasks(g), transfer(g), contrast(g)), "first second weight logits"),
        "transfer": (transfer, "first second weight"),
    }


NAMES = ("co_click", "contrastive", "esmm", "opq_contrast", "rqvae", "smile", "transfer")


def test_no_loss_is_left_out():
    assert {found.name for found in pkgutil.iter_modules(model.losses.__path__)} == set(losses()) == set(NAMES)
    assert all(importlib.import_module(f"model.losses.{name}").__doc__ for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("about", HARD)
def test_values_and_gradients_stay_finite(name, about):
    import tensorflow as tf

    loss, inputs = losses()[name]
    given = {kind: tf.constant(value) for kind, value in (drawn() | HARD[about]).items()}
    floats = [given[kind] for kind in inputs.split()]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        value = loss(given)
    assert np.isfinite(value)
    for gradient in tape.gradient(value, floats):
        assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all()
