"""The catalogue as it was known at a moment."""

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.catalogue import ItemContent
from features.clock import parse_as_of
from features.content import learn_schema
from features.errors import ArtefactError, DataError
from model.item_catalogue import distinct_contents, open_table, read_items


def moment(text):
    return pa.scalar(text).cast(pa.timestamp("us", "UTC")).as_py()


def items_table(path, rows):
    """rows: (item_id, title, attributes, vector, ingest_time, offset)"""
    names = ("item_id", "title", "attributes", "vector", "ingest_time", "offset")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["vector"] = pa.array(columns["vector"], pa.list_(pa.float32()))
    columns["title"] = pa.array(columns["title"], pa.string())
    columns["attributes"] = pa.array(columns["attributes"], pa.string())
    columns["ingest_time"] = pa.array([moment(text) for text in columns["ingest_time"]], pa.timestamp("us", "UTC"))
    write_deltalake(path, pa.table(columns))
    return DeltaTable(path)


def test_an_item_is_its_newest_row_known_before_the_day(tmp_path):
    table = items_table(tmp_path / "items", [
        ("b", "old", None, None, "2026-01-01T00:00:00Z", 1), ("b", "new", '{"brand": "x"}', None, "2026-01-01T00:00:00Z", 2),
        ("b", "too late", None, None, "2026-01-02T00:00:00Z", 3), ("a", None, None, [0.5, 1.0], "2026-01-01T23:59:59Z", 9)])
    ids, items = read_items(table, parse_as_of("2026-01-02"))
    assert ids == ["a", "b"]
    assert items[1] == ItemContent("new", {"brand": "x"}, None)
    assert list(items[0].vector) == [0.5, 1.0]
    assert items[0].title is None


@pytest.mark.parametrize("text", ["[1]", "{", "3"])
def test_attributes_that_are_no_object_are_refused(tmp_path, text):
    table = items_table(tmp_path / "items", [("b", "x", text, None, "2026-01-01T00:00:00Z", 1)])
    with pytest.raises(DataError, match="JSON object of strings"):
        read_items(table, parse_as_of("2026-01-02"))


def test_equal_contents_are_one_and_what_cannot_be_encoded_is_counted():
    items = [ItemContent("Oats", {}), ItemContent(" oats ", {}), ItemContent(None, {}), ItemContent("tea", {}, [float("nan")]),
             ItemContent("tea", {}, [1.0])]
    catalogue = distinct_contents(["a", "b", "c", "d", "e"], items, learn_schema(items))
    assert catalogue.item_ids == ["a", "b", "e"]
    assert catalogue.content_rows.tolist() == [0, 0, 1]
    assert [key.text for key in catalogue.contents] == ["oats", "tea"]
    assert catalogue.without_content == 1
    assert list(catalogue.faults) == ["d"]


def test_a_missing_table_says_what_to_run(tmp_path):
    with pytest.raises(ArtefactError, match="no Delta table"):
        open_table(tmp_path / "items")
