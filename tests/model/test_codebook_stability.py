"""A retrained codebook beside the one before it: figures by hand, and what cannot be compared."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.encoder import Quantiser
from features.errors import ArtefactError, DataError
from features.layout import Layout
from model.codebook_stability import neighbourhood_overlap, published_before, stability, stability_lines
from model.impressions import impressions_7d
from model.item_catalogue import Catalogue
from tests.model.test_codebook_health import plain_quantiser

DAY = date(2026, 1, 9)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def catalogue(*item_ids, content_rows=None):
    rows = range(len(item_ids)) if content_rows is None else content_rows
    return Catalogue(list(item_ids), np.array(rows, np.int64), [], {}, 0)


def publish(layout, codes):
    write_deltalake(layout.table("semantic_ids"), pa.table({
        "item_id": list(codes), "codes": pa.array(list(codes.values()), pa.list_(pa.int32())),
        "assigned_at": pa.array([0] * len(codes), pa.timestamp("us", "UTC")), "codebook_version": ["cb-1"] * len(codes)}),
        partition_by=["codebook_version"])


def count(layout, *rows):
    """rows: (item, day of January 2026, impressions of 7 days)"""
    write_deltalake(layout.table("item_maturity_rebuilt"), pa.table({
        "item_id": [item for item, _, _ in rows], "exposure_7d": [shown for _, _, shown in rows],
        "tick": pa.array([datetime(2026, 1, day, 12, tzinfo=UTC) for _, day, _ in rows], pa.timestamp("us", "UTC")),
        "ds": [f"2026-01-{day:02d}" for _, day, _ in rows]}), partition_by=["ds"])


def one_level(*places) -> Quantiser:
    return plain_quantiser(np.array(places, np.float32).reshape(1, -1, 1))


def test_codes_that_changed_by_items_and_by_impressions(layout):
    publish(layout, {"a": [0], "b": [1], "c": [2], "gone": [2]})
    count(layout, ("a", 8, 30), ("b", 8, 10), ("c", 3, 60), ("c", 8, 0), ("new", 8, 99))
    items = catalogue("a", "b", "c", "new")
    before = published_before(layout, "cb-1", items, levels=1, size=4)
    # Codes 0 and 1 have changed places, and c is where a was: as trained a, b, c have 1, 0, 1.
    vectors = np.array([[5.0], [0.0], [5.0], [9.0]], np.float32)
    places, figures = stability(layout, before, items, one_level(0, 5, 7, 9), vectors, DAY)
    assert places[0, :2].tolist() == [1, 0]
    assert figures["items"] == 3
    assert figures["as_trained"] == {"by_level": [1.0], "anywhere": 1.0}
    np.testing.assert_allclose(figures["matched"]["by_level"], [1 / 3])
    assert figures["by_impressions"]["impressions"] == 40
    assert figures["by_impressions"]["matched"] == {"by_level": [0.0], "anywhere": 0.0}
    assert figures["neighbourhood_overlap"] is None  # no folder of cb-1
    lines = stability_lines(figures)
    assert lines[1] == "churn to cb-1, matched: 33.3% | anywhere 33.3%"
    assert lines[3] == "churn to cb-1, matched, by impressions: 0.0% | anywhere 0.0%"


def test_neighbours_are_compared_a_content_once(layout):
    publish(layout, {item: [n] for n, item in enumerate("abcd")})
    layout.codebook("cb-1").mkdir(parents=True)
    np.save(layout.codebook("cb-1") / "codebooks.npy", np.array([[[0.0], [1.0], [5.0], [6.0]]], np.float32))
    items = catalogue("a", "b", "c", "d", content_rows=[0, 1, 2, 2])  # d is c again
    before = published_before(layout, "cb-1", items, levels=1, size=4)
    vectors = np.array([[0.0], [1.0], [2.0]], np.float32)
    _, figures = stability(layout, before, items, one_level(0, 1, 2, 3), vectors, DAY)
    assert figures["neighbourhood_overlap"] == 1.0
    assert figures["by_impressions"] is None
    assert stability_lines(figures)[-1] == "neighbours as in cb-1: 100.0%"


def test_impressions_are_those_known_at_the_day(layout):
    assert impressions_7d(layout, ["a"], DAY) is None
    count(layout, ("a", 2, 7), ("a", 8, 3), ("a", 9, 50), ("b", 9, 4))
    assert impressions_7d(layout, ["b", "a"], DAY).tolist() == [0, 3]
    assert impressions_7d(layout, ["b"], DAY) is None


def test_what_cannot_be_matched_is_refused(layout):
    with pytest.raises(ArtefactError, match="no semantic ids of codebook cb-1"):
        published_before(layout, "cb-1", catalogue("a"), 4, 256)
    publish(layout, {"a": [1, 2, 3, 99]})
    with pytest.raises(DataError, match="have 4 codes up to 99, expected 4 below 64"):
        published_before(layout, "cb-1", catalogue("a"), 4, 64)
    with pytest.raises(DataError, match="expected 3 below 256"):
        published_before(layout, "cb-1", catalogue("a"), 3, 256)
    with pytest.raises(ArtefactError, match="none of 1 items has a SID of cb-1"):
        published_before(layout, "cb-1", catalogue("b"), 4, 256)


def test_neighbours_of_two_spaces_by_hand():
    old = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert neighbourhood_overlap(old, 3 * old + 7, k=1) == 1
    swapped = np.array([[0.0], [10.0], [1.0], [11.0]])  # now 0 is nearest to 2, and 1 to 3
    assert neighbourhood_overlap(old, swapped, k=1) == 0
    np.testing.assert_allclose(neighbourhood_overlap(old, swapped, k=2), 0.75)  # 1, a half, a half, 1
    assert neighbourhood_overlap(old, swapped, k=30) == 1
    assert neighbourhood_overlap(old[:1], swapped[:1]) == 1
