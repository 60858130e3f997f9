"""GateSID Eq. 4-7: one mixed distribution pools both histories."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

CALL = ("target_sid", "target_item", "history_sid", "history_item", "mask", "semantic_weight")
KERNELS = ("wq_sid", "wk_sid", "wq_item", "wk_item")


def test_shared_attention_equals_the_golden_numbers_and_gradients(golden):
    from model.layers.shared_attention import SharedAttention

    for case in golden("shared_attention", "shared_attention"):
        (sid, sid_units), (item, item_units) = (np.shape(case.value(name)) for name in ("wq_sid", "wq_item"))
        layer = SharedAttention(sid, item, sid_units, item_units, dtype=case.dtype)
        given = [case.tf.constant(case.value(name)) if name == "mask" else case.tensor(name) for name in CALL]
        layer(*given)
        for name in KERNELS:
            case.fill(getattr(layer, name), case.value(name))
        result = layer(*given)
        for name, expected in case.case["expected"].items():
            case.agrees(getattr(result, name), expected)
        sources = dict(zip(CALL, given, strict=True)) | {name: getattr(layer, name) for name in KERNELS}
        del sources["mask"]
        case.check_gradients(lambda layer=layer, given=given: layer(*given)._asdict(), sources)


@pytest.fixture
def inputs():
    import tensorflow as tf

    rng = np.random.default_rng(1)
    shapes = {"target_sid": [3, 4], "target_item": [3, 2], "history_sid": [3, 5, 4], "history_item": [3, 5, 2]}
    made = {name: rng.normal(size=shape).astype("f") for name, shape in shapes.items()}
    made |= {"mask": rng.random([3, 5]) < 0.7, "semantic_weight": rng.random([3, 1]).astype("f")}
    return {name: tf.constant(values) for name, values in made.items()}


@pytest.mark.parametrize(("weight", "kept"), [(1.0, "s_sid"), (0.0, "s_item")])
def test_an_open_gate_takes_one_modality_alone(inputs, weight, kept):
    import tensorflow as tf

    from model.layers.shared_attention import SharedAttention

    result = SharedAttention(4, 2)(**inputs | {"semantic_weight": tf.fill([3, 1], weight)})
    np.testing.assert_array_equal(result.s_fused, getattr(result, kept))


def test_a_user_without_history_gives_zeros_and_finite_gradients(inputs):
    import tensorflow as tf

    from model.layers.shared_attention import SharedAttention

    layer = SharedAttention(4, 2)
    inputs["mask"] = tf.zeros([3, 5], tf.bool)
    with tf.GradientTape() as tape:
        output = layer(**inputs).output
        total = tf.reduce_sum(output)
    assert np.abs(output).max() == 0
    for gradient in tape.gradient(total, layer.trainable_variables):
        np.testing.assert_array_equal(gradient, 0)


def test_wrong_shapes_are_refused_by_name(inputs):
    import tensorflow as tf

    from model.layers.shared_attention import SharedAttention

    layer = SharedAttention(4, 2)
    with pytest.raises(ValueError, match=r"`semantic_weight` must have 1 columns, got shape \(3, 2\)"):
        layer(**inputs | {"semantic_weight": tf.zeros([3, 2])})
    with pytest.raises(ValueError, match=r"`history_sid` must have 4 columns, got shape \(3, 5, 3\)"):
        layer(**inputs | {"history_sid": tf.zeros([3, 5, 3])})
    with pytest.raises(ValueError, match=r"`history_item` must have axes \[B, L, D\]"):
        layer(**inputs | {"history_item": tf.zeros([3, 2])})


def test_shared_attention_survives_saving_and_export(inputs, round_trip):
    from model.layers.shared_attention import SharedAttention

    assert round_trip(SharedAttention(4, 2, 3), [inputs[name] for name in CALL], read=lambda result: result.output) <= 1e-6
