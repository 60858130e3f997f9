"""Embeddings that follow an index."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


@pytest.fixture
def table():
    from model.layers.id_table import IdTable

    layer = IdTable(rows=4, width=2)
    layer(np.int32([0]))
    layer.table.assign(np.float32([[0, 0], [1, 1], [2, 2], [3, 3]]))
    return layer


def test_a_row_given_out_after_the_table_was_made_reads_the_out_of_vocabulary_row(table):
    np.testing.assert_array_equal(table(np.int32([3, 4, 1_000_000, -1]))[:, 0], [3, 1, 1, 1])


def test_a_fresh_row_looks_like_a_fresh_out_of_vocabulary_row():
    from model.layers.id_table import IdTable

    layer = IdTable(rows=4, width=2)
    np.testing.assert_array_equal(layer(np.int32([3])), layer(np.int32([4])))


def test_a_table_without_its_two_reserved_rows_is_refused():
    from model.layers.id_table import IdTable

    with pytest.raises(ValueError, match=r"at least \(2\), got 1"):
        IdTable(rows=1, width=2)


def test_id_table_survives_saving_and_export(round_trip):
    from model.layers.id_table import IdTable

    assert round_trip(IdTable(rows=9, width=3), [np.int32([[1, 8], [99, 0]])]) <= 1e-6
