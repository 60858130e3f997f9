"""Which pairs are trained on, and how they are drawn."""

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.catalogue import ItemContent
from features.clock import parse_as_of
from features.content import learn_schema
from model.co_click_pairs import Pairs, PairSampler, frequent, no_pairs, read_pairs, split_pairs
from model.item_catalogue import distinct_contents


@pytest.fixture
def catalogue():
    items = {"a": "oats", "a2": "oats", "b": "milk", "c": "tea", "d": "coffee"}
    contents = [ItemContent(title, {}) for title in items.values()]
    return distinct_contents(list(items), contents, learn_schema(contents))


def table_of(path, rows):
    both = rows + [(b, a, count, ds) for a, b, count, ds in rows]
    columns = dict(zip(("item_a", "item_b", "count", "ds"), map(list, zip(*both, strict=True)), strict=True))
    write_deltalake(path, pa.table(columns), partition_by=["ds"])
    return DeltaTable(path)


def test_counts_add_up_over_days_orders_and_items_of_one_content(tmp_path, catalogue):
    table = table_of(tmp_path / "pairs", [
        ("a", "b", 2, "2026-01-01"), ("a", "b", 3, "2026-01-02"), ("a2", "b", 4, "2026-01-02"), ("c", "d", 7, "2026-01-02"),
        ("a", "a2", 50, "2026-01-02"), ("a", "gone", 9, "2026-01-02"), ("c", "d", 100, "2026-01-03")])
    pairs = read_pairs(table, catalogue, None, parse_as_of("2026-01-03"))
    oats, milk, tea, coffee = (catalogue.content_rows[catalogue.item_ids.index(item)] for item in ("a", "b", "c", "d"))
    assert {tuple(row): count for row, count in zip(pairs.rows.tolist(), pairs.count, strict=True)} == {
        (min(oats, milk), max(oats, milk)): 9, (min(tea, coffee), max(tea, coffee)): 7}
    later = read_pairs(table, catalogue, parse_as_of("2026-01-02"), parse_as_of("2026-01-03"))
    assert sorted(later.count) == [7, 7]


def test_pairs_that_popularity_explains_are_left_out():
    rows = np.array([[0, 1], [0, 2], [1, 3], [4, 5]])
    count = np.array([20.0, 100.0, 100.0, 1.0])
    kept = frequent(Pairs(rows, count), 6)  # 0 and 1 were taken 120 times of 442: 33 pairs by chance
    assert kept.rows.tolist() == [[0, 2], [1, 3], [4, 5]]
    assert kept.count.tolist() == [100, 100, 1]


def test_of_many_pairs_the_most_frequent_are_kept(monkeypatch):
    monkeypatch.setattr("model.co_click_pairs.MAX_PAIRS", 2)
    rows = np.array([[0, 1], [2, 3], [4, 5]])
    assert frequent(Pairs(rows, np.array([5.0, 3.0, 4.0])), 6).rows.tolist() == [[0, 1], [4, 5]]


def test_the_same_pairs_are_held_out_whatever_else_is_known(catalogue):
    contents = catalogue.contents
    rng = np.random.default_rng(0)
    many = [contents[0]._replace(text=f"text {n}") for n in range(400)]
    rows = np.unique(np.sort(rng.integers(0, 400, (2000, 2)), axis=1), axis=0)
    split = split_pairs(Pairs(rows, np.ones(len(rows))), many)
    assert 0.02 < len(split.held_out.rows) / len(rows) < 0.1
    turned = many[::-1]
    again = split_pairs(Pairs(np.sort(399 - rows, axis=1), np.ones(len(rows))), turned)

    def texts(pairs, known):
        return {frozenset((known[a].text, known[b].text)) for a, b in pairs.rows}

    assert texts(split.held_out, many) == texts(again.held_out, turned)
    assert not texts(split.held_out, many) & texts(split.train, many)


def test_draws_follow_the_counts_in_either_order():
    sampler = PairSampler(Pairs(np.array([[0, 1], [2, 3]]), np.array([90_000.0, 10_000.0])), 6, np.random.default_rng(0))
    drawn = sampler.draw(8_000, own_share=0.25)
    own = drawn[:, 0] == drawn[:, 1]
    assert abs(own.mean() - 0.25) < 0.02
    frequent_pair = np.isin(drawn[~own], (0, 1)).all(axis=1)
    assert abs(frequent_pair.mean() - 0.75) < 0.02  # square roots: 300 to 100
    assert abs((drawn[~own][frequent_pair][:, 0] == 0).mean() - 0.5) < 0.02
    assert set(drawn[own].ravel()) == set(range(6))


def test_partners_are_partners_and_a_content_without_any_is_its_own():
    sampler = PairSampler(Pairs(np.array([[0, 1], [0, 2], [3, 5]]), np.array([1.0, 9.0, 1.0])), 6, np.random.default_rng(0))
    partners = sampler.partners(np.repeat(np.arange(6), 2_000)).reshape(6, 2_000)
    assert [set(row) for row in partners] == [{1, 2}, {0}, {0}, {5}, {4}, {3}]
    assert abs((partners[0] == 2).mean() - 0.75) < 0.05


def test_without_pairs_every_content_is_its_own_partner():
    sampler = PairSampler(no_pairs(), 4, np.random.default_rng(0))
    drawn = sampler.draw(100, own_share=0.25)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert sampler.partners(np.arange(4)).tolist() == [0, 1, 2, 3]


def test_shares_say_how_often_a_content_is_drawn():
    sampler = PairSampler(Pairs(np.array([[0, 1], [0, 2]]), np.array([9.0, 1.0])), 5, np.random.default_rng(0))
    expected = 0.75 * np.array([4, 3, 1, 0, 0]) / 8 + 0.25 / 5
    np.testing.assert_allclose(sampler.shares(0.25), expected)
    drawn = np.bincount(sampler.draw(20_000, 0.25).ravel(), minlength=5) / 40_000
    np.testing.assert_allclose(drawn, expected, atol=0.01)
    assert (sampler.shares(0.0) > 0).all()
    np.testing.assert_allclose(PairSampler(no_pairs(), 4, np.random.default_rng(0)).shares(0.25), 0.25)
