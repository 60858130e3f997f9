"""GateSID Eq. 2: a table per level, concatenated."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_lookup_equals_the_golden_numbers(golden):
    from model.layers.sid_embedding import SidEmbedding

    for case in golden("gate", "sid_embedding"):
        tables = [np.asarray(table) for table in case.value("tables")]
        layer = SidEmbedding([len(table) for table in tables], [table.shape[1] for table in tables], dtype=case.dtype)
        codes = case.tf.constant(case.value("codes"))
        layer(codes)
        for variable, values in zip(layer.tables, tables, strict=True):
            case.fill(variable, values)
        case.agrees(layer(codes), case.case["expected"]["value"])


@pytest.fixture
def small():
    """3 levels x 5 codes, level l code k holding 10 l + k."""
    from model.layers.sid_embedding import SidEmbedding

    layer = SidEmbedding(codes=[5] * 3, widths=[1] * 3)
    layer(np.zeros([1, 3], np.int32))
    for level, table in enumerate(layer.tables):
        table.assign(10 * level + np.arange(5, dtype="f")[:, None])
    return layer


def test_each_level_reads_its_own_table(small):
    np.testing.assert_array_equal(small(np.int32([[0, 4, 2], [3, -1, 0]])), [[0, 14, 22], [3, 0, 20]])


def test_codes_of_a_history_keep_their_axes(small):
    assert small(np.zeros([2, 7, 3], np.int32)).shape == (2, 7, 3)


@pytest.mark.parametrize("codes", [[5, 0, 0], [-2, 0, 0]], ids=["too large", "below -1"])
def test_a_code_out_of_range_is_refused_eagerly_and_in_a_graph(small, codes):
    import tensorflow as tf

    with pytest.raises(ValueError, match=r"codes of level 0 must be -1 \(none\) or 0..4"):
        small(np.int32([codes]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(small)(tf.constant([codes]))


def test_a_missing_code_has_no_gradient(small):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total = tf.reduce_sum(small(np.int32([[1, -1, -1]])))
    gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(total, small.tables)]
    np.testing.assert_array_equal(gradients, np.float32([[0, 1, 0, 0, 0], [0] * 5, [0] * 5])[..., None])


def test_wrong_shapes_are_refused_by_name(small):
    from model.layers.sid_embedding import SidEmbedding

    with pytest.raises(ValueError, match=r"`codes` must have 3 columns, got shape \(1, 4\)"):
        small(np.zeros([1, 4], np.int32))
    with pytest.raises(ValueError, match="got 3 and 2 levels"):
        SidEmbedding(codes=[5, 5, 5], widths=[8, 8])


def test_sid_embedding_survives_saving_and_export(round_trip):
    from model.layers.sid_embedding import SidEmbedding

    given = [np.int32([[0, 5, -1, 2], [-1, -1, -1, -1]])]
    assert round_trip(SidEmbedding(codes=[6, 6, 6, 7], widths=[2, 2, 2, 1]), given) <= 1e-6
