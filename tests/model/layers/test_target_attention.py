"""SaviorRec Eq. 10, the base ranker's interest."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

CALL = ("query", "keys", "values", "mask")


def test_target_attention_equals_the_golden_numbers_and_gradients(golden):
    from model.layers.target_attention import TargetAttention

    for case in golden("target_attention", "target_attention"):
        widths = [np.shape(case.value(name))[0] for name in ("wq", "wk", "wv")]
        layer = TargetAttention(*widths, units=np.shape(case.value("wq"))[1], heads=case.value("heads"), dtype=case.dtype)
        given = [case.tf.constant(case.value(name)) if name == "mask" else case.tensor(name) for name in CALL]
        layer(*given)
        for name in ("wq", "wk", "wv"):
            case.fill(getattr(layer, name), case.value(name))

        def compute(layer=layer, given=given):
            output, scores = layer(*given)
            return {"output": output, "scores": scores}

        for name, expected in case.case["expected"].items():
            case.agrees(compute()[name], expected)
        sources = dict(zip(CALL[:3], given[:3], strict=True)) | {name: getattr(layer, name) for name in ("wq", "wk", "wv")}
        case.check_gradients(compute, sources)


def test_wrong_shapes_are_refused_by_name():
    import tensorflow as tf

    from model.layers.target_attention import TargetAttention

    layer = TargetAttention(3, 4, 4, units=4, heads=2)
    good = [tf.zeros(shape) for shape in ([2, 3], [2, 5, 4], [2, 5, 4])] + [tf.ones([2, 5], tf.bool)]
    with pytest.raises(ValueError, match=r"`keys` must have 4 columns, got shape \(2, 5, 6\)"):
        layer(good[0], tf.zeros([2, 5, 6]), *good[2:])
    with pytest.raises(ValueError, match=r"`values` must have axes \[B, L, V\]"):
        layer(*good[:2], tf.zeros([2, 4]), good[3])
    with pytest.raises(ValueError, match="multiple of `heads` 3"):
        TargetAttention(3, 4, 4, units=4, heads=3)


def test_target_attention_survives_saving_and_export(round_trip):
    from model.layers.target_attention import TargetAttention

    rng = np.random.default_rng(2)
    given = [rng.normal(size=shape).astype("f") for shape in ([2, 3], [2, 5, 4], [2, 5, 6])] + [rng.random([2, 5]) < 0.5]
    assert round_trip(TargetAttention(3, 4, 6, units=4, heads=2), given, read=lambda result: result[0]) <= 1e-6
