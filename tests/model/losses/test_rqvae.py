"""The RQ-VAE's loss against golden values, gradients, and the gradients of forgotten stops."""

import numpy as np
import pytest
import tensorflow as tf

from model.losses.rqvae import rqvae_losses

pytestmark = pytest.mark.tf
FORWARD = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-11}}
GRADIENT = {"float32": (1e-4, 1e-5), "float64": (1e-6, 1e-8)}
VARIABLES = ("encoded", "codebooks", "decoder_kernel", "decoder_bias")


def run(case, dtype):
    """(losses, gradients by name) of one golden case."""
    given = case["inputs"]
    z = tf.constant(np.asarray(given["z"], dtype))
    variables = {name: tf.Variable(np.asarray(given[name], dtype)) for name in VARIABLES}
    with tf.GradientTape() as tape:
        losses = rqvae_losses(
            z, variables["encoded"], variables["codebooks"], tf.constant(given["codes"]),
            lambda x: x @ variables["decoder_kernel"] + variables["decoder_bias"], tf.constant(given["item_ids"]))
        target = getattr(losses, case.get("gradients", {}).get("of", "total"))
    gradients = tape.gradient(target, variables, unconnected_gradients="zero")
    return losses, {name: tf.convert_to_tensor(gradient).numpy() for name, gradient in gradients.items()}


def close(got, wanted, dtype):
    wanted = np.asarray(wanted)
    relative, absolute = GRADIENT[dtype]
    return np.abs(got - wanted).max() <= relative * np.abs(wanted).max() + absolute


def golden_cases(load_golden):
    return [case for case in load_golden("rqvae_losses") if case["function"] == "rqvae_losses"]


@pytest.mark.parametrize("dtype", FORWARD)
def test_golden_values_are_met(load_golden, dtype):
    for case in golden_cases(load_golden):
        losses, _ = run(case, dtype)
        for name, wanted in case["expected"].items():
            np.testing.assert_allclose(getattr(losses, name), wanted, **FORWARD[dtype], err_msg=f"{case['name']} {name}")


@pytest.mark.parametrize("dtype", FORWARD)
def test_golden_gradients_are_met_and_no_stop_is_forgotten(load_golden, dtype):
    checked = 0
    for case in golden_cases(load_golden):
        if "gradients" not in case:
            continue
        _, gradients = run(case, dtype)
        for name, wanted in case["gradients"]["wrt"].items():
            assert close(gradients[name], wanted, dtype), (case["name"], name)
            checked += 1
        for name, wrong in (case["gradients"].get("wrong_if_stop_gradient_is_forgotten") or {}).items():
            if not close(np.asarray(case["gradients"]["wrt"][name]), wrong, dtype):  # the stop matters to this one
                assert not close(gradients[name], wrong, dtype), (case["name"], name, "a stop_gradient is missing")
    assert checked


def test_reconstruction_moves_no_code_vector(load_golden):
    case = golden_cases(load_golden)[0] | {"gradients": {"of": "reconstruct"}}
    _, gradients = run(case, "float64")
    assert not gradients["codebooks"].any()
    assert gradients["encoded"].any()


def test_an_odd_batch_is_refused():
    with pytest.raises(ValueError, match="even number of rows, got 3"):
        rqvae_losses(tf.zeros([3, 2]), tf.zeros([3, 2]), tf.zeros([1, 4, 2]), tf.zeros([3, 1], tf.int32), tf.identity,
                     tf.range(3))
