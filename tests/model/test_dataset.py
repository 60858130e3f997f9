"""Rows of a day as arrays that follow the input spec."""

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.errors import ArtefactError, DataError, SchemaError
from features.layout import Layout
from features.spec import HISTORY_LENGTH, RANKING_INPUTS
from model.dataset import PinnedTable, batches, days_present, no_codes, padded, read_codes, read_day, table_rows

DAYS = ["2026-01-01", "2026-01-02"]


@pytest.fixture
def lake(tmp_path, write_lake):
    layout = Layout(tmp_path)
    write_lake(layout, DAYS)
    return layout


def pinned(layout, name):
    return PinnedTable.at(layout.table(name))


def test_batches_follow_the_input_spec_to_the_letter(lake):
    day = read_day(pinned(lake, "training_frame"), DAYS[0])
    codes = read_codes(pinned(lake, "semantic_ids"), pinned(lake, "item_index"), "cb-1")
    features, rows = next(batches(day, codes, 16))
    assert list(rows) == list(range(16))
    assert {spec.name for spec in RANKING_INPUTS} == set(features)
    for spec in RANKING_INPUTS:
        assert features[spec.name].dtype == spec.dtype, spec.name
        assert features[spec.name].shape == (16, *spec.shape), spec.name


def test_candidate_and_history_get_the_codes_of_their_own_items(lake):
    day = read_day(pinned(lake, "training_frame"), DAYS[0])
    codes = read_codes(pinned(lake, "semantic_ids"), pinned(lake, "item_index"), "cb-1")
    table = pinned(lake, "semantic_ids").read(("item_id", "codes"))
    by_item = dict(zip(table.column("item_id").to_pylist(), table.column("codes").to_pylist(), strict=True))
    features, rows = next(batches(day, codes, len(day)))
    for row in rows:
        item = day.kept.column("item_id")[int(row)].as_py()
        assert features["item_codes"][row].tolist() == by_item.get(item, [-1] * 4)
        for position, item_row in enumerate(features["history_rows"][row]):
            expected = by_item.get(f"i{item_row - 2}", [-1] * 4) if item_row else [-1] * 4
            assert features["history_codes"][row, position].tolist() == expected


def test_every_row_comes_once_in_an_order_of_its_own_seed_and_day(lake):
    first, second = (read_day(pinned(lake, "training_frame"), ds) for ds in DAYS)
    codes = no_codes(40)

    def order(day, seed):
        return np.concatenate([rows for _, rows in batches(day, codes, 16, seed)])

    assert sorted(order(first, 1)) == list(range(len(first)))
    np.testing.assert_array_equal(order(first, 1), order(first, 1))
    assert not np.array_equal(order(first, 1), order(first, 2))
    assert not np.array_equal(order(first, 1), order(second, 1))


def test_a_rewritten_day_reads_in_the_same_order(lake):
    before = read_day(pinned(lake, "training_frame"), DAYS[0])
    rows = pinned(lake, "training_frame").read(tuple(before.kept.column_names), ("ds", DAYS[0]))
    assert before.kept.column("event_id").to_pylist() == sorted(rows.column("event_id").to_pylist())


def test_lists_are_padded_and_cut_to_the_history_length():
    long = list(range(2, 70))
    got = padded(pa.chunked_array([pa.array([[], [7, 8], long], pa.list_(pa.int32()))]))
    assert got.shape == (3, HISTORY_LENGTH)
    assert got[0].tolist() == [0] * HISTORY_LENGTH
    assert got[1].tolist() == [7, 8] + [0] * (HISTORY_LENGTH - 2)
    assert got[2].tolist() == long[:HISTORY_LENGTH]


def test_lists_of_a_sliced_table_are_padded_right():
    lists = pa.array([[1], [2, 3], [4]], pa.list_(pa.int32())).slice(1)
    assert padded(lists, 2).tolist() == [[2, 3], [4, 0]]


def test_a_row_beyond_the_codes_has_none(lake):
    day = read_day(pinned(lake, "training_frame"), DAYS[0])
    features, _ = next(batches(day, np.zeros([3, 4], np.int32), len(day)))
    beyond = features["item_row"] >= 3
    assert beyond.any()
    codes = no_codes(3)
    features, _ = next(batches(day, codes, len(day)))
    assert (features["item_codes"] == -1).all()


def test_the_sid_published_first_stays(lake):
    later = pa.table({"item_id": ["i0"], "codes": pa.array([[9, 9, 9, 9]], pa.list_(pa.int32())),
                      "assigned_at": [pa.scalar(2**51, pa.timestamp("us", "UTC"))], "codebook_version": ["cb-1"]})
    before = read_codes(pinned(lake, "semantic_ids"), pinned(lake, "item_index"), "cb-1")
    write_deltalake(lake.table("semantic_ids"), later, mode="append")
    after = read_codes(pinned(lake, "semantic_ids"), pinned(lake, "item_index"), "cb-1")
    np.testing.assert_array_equal(after, before)


def test_days_present_and_table_rows_come_from_the_tables(lake):
    assert days_present(pinned(lake, "training_frame")) == DAYS
    assert table_rows(pinned(lake, "item_index")) == 32


def test_a_pinned_table_does_not_see_later_rows(lake, write_lake):
    frame = pinned(lake, "training_frame")
    before = len(read_day(frame, DAYS[0]))
    write_lake(lake, DAYS, mode="append")
    assert len(read_day(frame, DAYS[0])) == before
    assert len(read_day(pinned(lake, "training_frame"), DAYS[0])) == 2 * before


def test_what_is_missing_is_named(lake, tmp_path):
    with pytest.raises(ArtefactError, match="no Delta table"):
        PinnedTable.at(tmp_path / "nowhere")
    with pytest.raises(SchemaError, match="lacks colour, size"):
        pinned(lake, "item_index").read(("row", "colour", "size"))
    with pytest.raises(DataError, match="no rows of 2026-02-01"):
        read_day(pinned(lake, "training_frame"), "2026-02-01")
    with pytest.raises(ArtefactError, match="no semantic ids of codebook cb-9"):
        read_codes(pinned(lake, "semantic_ids"), pinned(lake, "item_index"), "cb-9")


def broken(lake, column, values):
    """Write day 1 again with some values of one column replaced."""
    rows = pinned(lake, "training_frame").read(tuple(name.name for name in schema(lake)), ("ds", DAYS[0]))
    changed = rows.column(column).to_pylist()
    changed[:len(values)] = values
    place = rows.column_names.index(column)
    rows = rows.set_column(place, column, pa.array(changed, rows.schema.field(column).type))
    write_deltalake(lake.table("training_frame"), rows, mode="overwrite")
    return pinned(lake, "training_frame")


def schema(lake):
    from deltalake import DeltaTable

    return DeltaTable(lake.table("training_frame")).schema().fields


@pytest.mark.parametrize(("column", "values", "message"), [
    ("repeat_age_days", [float("nan")], "repeat_age_days has 1 values that are not finite"),
    ("clicked", [2], "clicked must be 0 or 1"),
    ("clicked", [None], "clicked must be 0 or 1"),
    ("online_days", [None, None], "online_days has 2 values that are not finite"),
    ("click_7d", [None], "click_7d has 1 values that are not finite"),
    ("ordered", [1] * 60, "rows have an order without its click"),
    ("exposure_7d", [None], "exposure_7d has 1 values that are not finite"),
])
def test_a_day_with_impossible_values_is_refused_with_each_fault(lake, column, values, message):
    with pytest.raises(DataError, match=message):
        read_day(broken(lake, column, values), DAYS[0])


def test_codes_of_another_codebook_size_are_refused(lake):
    wrong = pa.table({"item_id": ["i0", "i1"], "codes": pa.array([[0, 0, 0, 0], [0, 256, 0, 0]], pa.list_(pa.int32())),
                      "assigned_at": [pa.scalar(0, pa.timestamp("us", "UTC"))] * 2, "codebook_version": ["cb-2"] * 2})
    write_deltalake(lake.table("semantic_ids"), wrong, mode="append")
    with pytest.raises(DataError, match="item i1 of codebook cb-2"):
        read_codes(pinned(lake, "semantic_ids"), pinned(lake, "item_index"), "cb-2")
