"""SMILE Eq. 4, 5, 8: the gate, and what it blends."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

GATE = ("context", "user", "item_features")
BLEND = ("id_emb", "rq_emb", "opq_emb", "semantic_weight")


def test_gate_equals_the_golden_numbers(golden):
    from model.layers.transfer_gate import TransferGate

    for case in golden("smile_blend", "smile_gate"):
        layers = case.inputs["layers"]
        gate = TransferGate(hidden=[len(layer["kernel"][0]) for layer in layers[:-1]], dtype=case.dtype)
        given = [case.tensor(name) for name in GATE]
        gate(*given)
        for dense, values in zip(gate.mlp.dense, layers, strict=True):
            case.fill(dense.kernel, values["kernel"])
            case.fill(dense.bias, values["bias"])
        case.agrees(gate(*given), case.case["expected"]["value"])


def test_blend_equals_the_golden_numbers_and_gradients(golden):
    from model.layers.transfer_gate import transfer_blend

    for case in golden("smile_blend", "smile_blend"):
        given = {name: case.tensor(name) for name in BLEND}
        options = {"opq_weight": case.inputs["opq_weight"]} if "opq_weight" in case.inputs else {}

        def compute(given=given, options=options):
            return transfer_blend(**given, **options)._asdict()

        for name, expected in case.case["expected"].items():
            case.agrees(compute()[name], expected)
        case.check_gradients(compute, given)


def test_one_weight_blends_a_whole_history():
    from model.layers.transfer_gate import transfer_blend

    history = np.ones([2, 5, 3], "f")
    final = transfer_blend(0 * history, history, 2 * history, np.float32([[[1]], [[0.25]]])).final
    np.testing.assert_array_equal(final[:, 0, 0], [2, 1.25])


def test_unequal_widths_are_refused_by_name():
    from model.layers.transfer_gate import transfer_blend

    ok, narrow = np.zeros([2, 4], "f"), np.zeros([2, 3], "f")
    with pytest.raises(ValueError, match=r"`rq_emb` must have 4 columns, got shape \(2, 3\)"):
        transfer_blend(ok, narrow, ok, np.zeros([2, 1], "f"))
    with pytest.raises(ValueError, match=r"`semantic_weight` must have 1 columns, got shape \(2, 4\)"):
        transfer_blend(ok, ok, ok, ok)
