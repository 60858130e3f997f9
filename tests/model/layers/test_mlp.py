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

    round_trip(Mlp([5, 3], outputs=2), [np.random.default_rng(0).normal(size=[3, 4]).astype("f")])
