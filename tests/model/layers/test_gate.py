"""GateSID Eq. 3: how far to trust content over behaviour."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def gate_like(case):
    """A gate with the widths and kernels of the case's layers."""
    from model.layers.gate import MaturityGate

    layers = case.inputs["layers"]
    gate = MaturityGate(hidden=[len(layer["kernel"][0]) for layer in layers[:-1]], dtype=case.dtype)
    gate(case.tensor("item_emb"), case.tensor("stats"))
    for layer, given in zip(gate.mlp.dense, layers, strict=True):
        case.fill(layer.kernel, given["kernel"])
        case.fill(layer.bias, given["bias"] or np.zeros(len(given["kernel"][0])))
    return gate


def test_gate_equals_the_golden_numbers_and_gradients(golden):
    for case in golden("gate", "gate"):
        gate = gate_like(case)
        item_emb, stats = case.tensor("item_emb"), case.tensor("stats")
        sources = {"item_emb": item_emb, "stats": stats} | {
            f"layers.{n}.{part}": getattr(layer, part) for n, layer in enumerate(gate.mlp.dense) for part in ("kernel", "bias")}
        case.agrees(gate(item_emb, stats), case.case["expected"]["value"])
        case.check_gradients(lambda gate=gate, e=item_emb, s=stats: {"value": gate(e, s)}, sources)


def test_statistics_are_logarithms_of_counts(golden):
    from model.layers.gate import gate_stats

    for case in golden("gate", "gate_stats"):
        raw = np.stack([case.value(name) for name in ("online_days", "exposure_7d", "click_7d")], axis=1)
        case.agrees(gate_stats(case.tf.constant(raw, case.dtype)), case.case["expected"]["value"])


def test_an_item_that_is_not_online_yet_reads_as_day_zero():
    from model.layers.gate import gate_stats

    np.testing.assert_array_equal(gate_stats(np.float32([[-1, 0, 0]])), [[0, 0, 0]])


def test_statistics_of_another_width_are_refused_by_name():
    from model.layers.gate import MaturityGate, gate_stats

    with pytest.raises(ValueError, match=r"`item_stats` must have 3 columns, got shape \(2, 4\)"):
        gate_stats(np.zeros([2, 4], np.float32))
    with pytest.raises(ValueError, match=r"`stats` must have 3 columns, got shape \(2, 2\)"):
        MaturityGate()(np.zeros([2, 8], np.float32), np.zeros([2, 2], np.float32))


def test_gate_survives_saving_and_export(round_trip):
    from model.layers.gate import MaturityGate

    rng = np.random.default_rng(0)
    given = [rng.normal(size=[6, 8]).astype("f"), rng.normal(size=[6, 3]).astype("f")]
    assert round_trip(MaturityGate(hidden=(5, 4)), given) <= 1e-6
