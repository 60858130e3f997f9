"""Frozen content vectors: centred once, never moved."""

import numpy as np
import pytest

from features.errors import DataError

pytestmark = pytest.mark.tf


@pytest.fixture
def table():
    from model.layers.content_table import ContentTable

    layer = ContentTable(rows=6, width=2)
    layer(np.int32([0]))
    assert layer.take(np.int32([2, 3, 4]), np.float32([[3, 1], [1, 1], [2, 4]])) == 3  # centre (2, 2)
    return layer


def test_vectors_are_unit_vectors_from_the_centre(table):
    half = np.sqrt(0.5)
    np.testing.assert_allclose(table(np.int32([2, 3, 4])), [[half, -half], [-half, -half], [0, 1]], rtol=1e-6)


def test_padding_unknown_rows_and_items_without_content_are_zero(table):
    assert not np.any(table(np.int32([0, 1, 5, 6, -1, 1_000_000])))


def test_what_is_there_stays_and_what_is_new_is_centred_alike(table):
    before = table(np.int32([2, 3, 4])).numpy()
    assert table.take(np.int32([3, 5, 9, 1]), np.float32([[7, 7], [2, 9], [1, 1], [1, 1]])) == 1
    np.testing.assert_array_equal(table(np.int32([2, 3, 4])), before)
    np.testing.assert_array_equal(table(np.int32([5, 1])), [[0, 1], [0, 0]])


def test_nothing_trains_it(table):
    assert table.trainable_variables == []
    assert len(table.variables) == 2


def test_vectors_that_do_not_fit_are_refused(table):
    with pytest.raises(DataError, match=r"width 2, got shape \(1, 3\)"):
        table.take(np.int32([2]), np.zeros([1, 3], "f"))
    with pytest.raises(DataError, match="NaN or infinity"):
        table.take(np.int32([2]), np.float32([[np.nan, 0]]))
