"""Dense layers in a row."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_hidden_layers_are_rectified_and_the_output_is_linear():
    from model.layers.mlp import Mlp

    mlp = Mlp([1], outputs=1)
    mlp(np.zeros([1, 1], "f"))
    for layer, kernel in zip(mlp.dense, (1, -2), strict=True):
        layer.kernel.assign([[kernel]])
    np.testing.assert_array_equal(mlp(np.float32([[3], [-3]])), [[-6], [0]])


def test_without_an_output_layer_the_last_hidden_layer_is_the_result():
    from model.layers.mlp import Mlp

    assert Mlp([5, 3])(np.zeros([2, 4], "f")).shape == (2, 3)


def test_an_mlp_of_nothing_is_refused():
    from model.layers.mlp import Mlp

    with pytest.raises(ValueError, match="hidden layer or an output layer"):
        Mlp([])


def test_mlp_survives_saving_and_export(round_trip):
    from model.layers.mlp import Mlp

    assert round_trip(Mlp([5, 3], outputs=2), [np.random.default_rng(0).normal(size=[3, 4]).astype("f")]) <= 1e-6


def test_leaky_layers_and_their_loss_equal_the_golden_head_of_saviorrec(golden):
    from model.layers.mlp import Mlp
    from model.losses.esmm import click_loss

    for case in golden("bidirectional_attention", "saviorrec_head"):
        layers = case.inputs["layers"]
        mlp = Mlp([len(layer["bias"]) for layer in layers[:-1]], outputs=1, activation="leaky_relu", dtype=case.dtype)
        given = {name: case.tensor(name) for name in ("attention", "other_features")}

        def compute(mlp=mlp, given=given, case=case):
            logits = mlp(case.tf.concat(list(given.values()), axis=-1))[:, 0]
            loss = case.tf.reduce_mean(click_loss(case.tensor("labels"), logits))
            return {"logits": logits, "pctr": case.tf.sigmoid(logits), "loss": loss}

        compute()
        for dense, values in zip(mlp.dense, layers, strict=True):
            case.fill(dense.kernel, values["kernel"])
            case.fill(dense.bias, values["bias"])
        for name, expected in case.case["expected"].items():
            case.agrees(compute()[name], expected)
        kernels = {f"layers.{n}.kernel": dense.kernel for n, dense in enumerate(mlp.dense)}
        case.check_gradients(compute, given | kernels)


def test_without_biases_nothing_in_gives_nothing_out():
    from model.layers.mlp import Mlp

    mlp = Mlp([5], outputs=2, activation="leaky_relu", use_bias=False)
    np.testing.assert_array_equal(mlp(np.zeros([1, 3], "f")), [[0, 0]])
    assert len(mlp.trainable_variables) == 2


def test_an_unknown_activation_is_refused():
    from model.layers.mlp import Mlp

    with pytest.raises(ValueError, match="one of relu, leaky_relu, got 'gelu'"):
        Mlp([5], activation="gelu")


def test_layers_start_as_keras_own_would_and_unlike_each_other():
    import tensorflow as tf

    from model.layers.mlp import Mlp

    tf.keras.utils.set_random_seed(3)
    mine = Mlp([4, 4])
    mine(np.zeros([1, 4], "f"))
    tf.keras.utils.set_random_seed(3)
    theirs = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dense(4)])
    theirs(np.zeros([1, 4], "f"))
    for own, other in zip(mine.dense, theirs.layers, strict=True):
        np.testing.assert_array_equal(own.kernel, other.kernel)
    assert not np.array_equal(mine.dense[0].kernel, mine.dense[1].kernel)
