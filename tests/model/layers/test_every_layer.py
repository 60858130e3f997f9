"""Every layer alike: saved, loaded, exported, and fed what a catalogue can hold at its worst."""

import importlib
import pkgutil

import numpy as np
import pytest

import model.layers

pytestmark = pytest.mark.tf

ROWS, LENGTH, WIDTH = 4, 5, 4


def drawn():
    """Ordinary inputs by the kind of thing they are."""
    rng = np.random.default_rng(3)

    def numbers(*shape):
        return rng.normal(size=[ROWS, *shape]).astype("f")

    return {
        "vector": numbers(WIDTH), "other": numbers(WIDTH), "history": numbers(LENGTH, WIDTH),
        "other_history": numbers(LENGTH, WIDTH), "mask": rng.random([ROWS, LENGTH]) < 0.6,
        "codes": rng.integers(0, 3, [ROWS, 2]).astype(np.int32), "rows": rng.integers(0, 9, [ROWS]).astype(np.int32),
        "stats": 5 * rng.random([ROWS, 3]).astype("f"), "weight": rng.random([ROWS, 1]).astype("f")}


# The worst there is, each on top of ordinary inputs.
HARD = {
    "nothing is real": lambda given: given | {"mask": np.zeros([ROWS, LENGTH], bool)},
    "vectors are zero": lambda given: given | {
        name: np.zeros_like(given[name]) for name in ("vector", "other", "history", "other_history", "stats")},
    "no codes": lambda given: given | {"codes": np.full([ROWS, 2], -1, np.int32)},
    "one code of two": lambda given: given | {"codes": np.int32([[-1, 0], [1, -1], [-1, -1], [2, 2]])},
    "unknown rows": lambda given: given | {"rows": np.int32([0, 1, -1, 1_000_000])},
    "vectors are huge": lambda given: given | {
        name: 1e4 * given[name] for name in ("vector", "other", "history", "other_history")},
    "all at once": lambda given: given | {
        "mask": np.zeros([ROWS, LENGTH], bool), "codes": np.full([ROWS, 2], -1, np.int32)} | {
        name: np.zeros_like(given[name]) for name in ("vector", "other", "history", "other_history", "stats")},
}


def made():
    """Each layer's class name → (how to make it, its inputs, its float output)."""
    from model.layers.bidirectional_attention import BidirectionalAttention
    from model.layers.content_table import ContentTable
    from model.layers.gate import MaturityGate
    from model.layers.id_table import IdTable
    from model.layers.mba import Mba
    from model.layers.mlp import Mlp
    from model.layers.rq_fusion import RqFusion
    from model.layers.shared_attention import SharedAttention
    from model.layers.sid_embedding import SidEmbedding
    from model.layers.target_attention import TargetAttention
    from model.layers.transfer_gate import TransferGate

    whole, both = (lambda result: result), ("vector", "other", "history", "other_history", "mask")
    return {
        "BidirectionalAttention": (
            lambda: BidirectionalAttention(WIDTH, WIDTH, units=4, heads=2, gain=2.0, content_gain=2.0), both,
            lambda r: r.output),
        "ContentTable": (lambda: ContentTable(9, 3), ("rows",), whole),
        "IdTable": (lambda: IdTable(9, 3), ("rows",), whole),
        "MaturityGate": (lambda: MaturityGate((5,)), ("vector", "stats"), whole),
        "Mba": (lambda: Mba(2, 3, width=2, content_width=WIDTH, hidden=(3,)), ("vector", "codes"), lambda r: r.z_align),
        "Mlp": (lambda: Mlp((5,), outputs=2, activation="leaky_relu"), ("vector",), whole),
        "RqFusion": (lambda: RqFusion(3), ("vector",), whole),
        "SharedAttention": (lambda: SharedAttention(WIDTH, WIDTH), (*both, "weight"), lambda r: r.output),
        "SidEmbedding": (lambda: SidEmbedding([3, 3], [2, 2]), ("codes",), whole),
        "TargetAttention": (
            lambda: TargetAttention(WIDTH, WIDTH, WIDTH, units=4, heads=2), ("vector", "history", "other_history", "mask"),
            lambda r: r[0]),
        "TransferGate": (lambda: TransferGate((5,)), ("vector", "other", "stats"), whole),
    }


NAMES = ("BidirectionalAttention", "ContentTable", "IdTable", "MaturityGate", "Mba", "Mlp", "RqFusion", "SharedAttention",
         "SidEmbedding", "TargetAttention", "TransferGate")


def test_no_layer_is_left_out():
    import tensorflow as tf

    modules = [importlib.import_module(f"model.layers.{found.name}") for found in pkgutil.iter_modules(model.layers.__path__)]
    layers = {kind.__name__ for module in modules for kind in vars(module).values()
              if isinstance(kind, type) and issubclass(kind, tf.keras.layers.Layer)}
    assert layers == set(made()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_survives_saving_loading_and_export(name, round_trip):
    make, inputs, read = made()[name]
    given = drawn()
    assert round_trip(make(), [given[kind] for kind in inputs], read=read) <= 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_stay_finite(name):
    import tensorflow as tf

    make, inputs, read = made()[name]
    layer = make()
    read(layer(*(tf.constant(drawn()[kind]) for kind in inputs)))
    for variable in layer.trainable_variables:  # what starts at zero is given something to multiply
        variable.assign_add(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.1))
    for about, change in HARD.items():
        given = [tf.constant(change(drawn())[kind]) for kind in inputs]
        floats = [value for value in given if value.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            output = read(layer(*given))
            total = tf.reduce_sum(output * output)
        assert np.isfinite(output).all(), (name, about)
        for gradient in tape.gradient(total, [*floats, *layer.trainable_variables]):
            assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all(), (name, about)
