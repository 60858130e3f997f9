import numpy as np
import pyarrow as pa
import pytest

from infra.datasets.negatives import draw_negatives, impressions_of
from infra.datasets.prepared import EVENTS


@pytest.fixture
def day():
    """2,000 lines of 200 users; items are popular as 1/rank; each user has one request."""
    rng = np.random.default_rng(1)
    weight = 1 / np.arange(1, 301)
    item = rng.choice(300, 2_000, p=weight / weight.sum())
    user = rng.integers(0, 200, 2_000)
    _, first = np.unique(user * 300 + item, return_index=True)
    return user[first], item[first], user[first]


def draw(day, seed=2):
    return draw_negatives(*day, 4, np.random.default_rng(seed))


def test_negatives_are_other_users_lines(day):
    user, _, _ = day
    assert (user[draw(day)] != user[:, None]).all()


def test_no_negative_is_an_item_of_the_lines_own_request(day):
    _, item, request = day
    had = set(zip(request, item, strict=True))
    drawn = draw(day)
    assert not any((request[line], item[other]) in had for line, row in enumerate(drawn) for other in row)


def test_the_same_seed_draws_the_same_and_another_seed_does_not(day):
    assert (draw(day) == draw(day)).all()
    assert (draw(day) != draw(day, seed=3)).any()


def test_negatives_are_as_popular_as_positives_outside_the_popular_items_own_baskets(day):
    """An item's share among negatives is its share among the lines that could have been drawn, line by line."""
    user, item, request = day
    drawn = np.concatenate([item[draw(day, seed)].ravel() for seed in range(30)])
    expected = np.zeros(300)
    had = {}
    for r, i in zip(request, item, strict=True):
        had.setdefault(r, set()).add(i)
    for line in range(len(user)):
        able = (user != user[line]) & ~np.isin(item, list(had[request[line]]))
        expected += np.bincount(item[able], minlength=300) / able.sum()
    found, expected = np.bincount(drawn, minlength=300) / len(drawn), expected / len(user)
    assert np.abs(found - expected).max() < 0.002
    assert expected.max() > 5 * expected.mean(), "the day has popular items, or this shows nothing"


def test_a_day_with_one_user_has_no_negatives():
    zeros = np.zeros(3, np.int64)
    assert (draw_negatives(zeros, np.arange(3), zeros, 4, np.random.default_rng(0)) == -1).all()


def test_a_day_without_lines_is_empty():
    none = np.empty(0, np.int64)
    assert draw_negatives(none, none, none, 4, np.random.default_rng(0)).shape == (0, 4)


def test_impressions_stand_before_their_response_and_share_its_request():
    clicks = pa.Table.from_pylist([
        {"event_id": "a", "event_type": "click", "user_id": "u1", "item_id": "i1", "event_time_ms": 5_000,
         "ingest_time_ms": 6_000,
         "request_id": "r1"},
        {"event_id": "b", "event_type": "click", "user_id": "u2", "item_id": "i2", "event_time_ms": 9_000,
         "ingest_time_ms": 9_000,
         "request_id": "r2"}], schema=EVENTS)
    shown, missing = impressions_of(clicks, 1, 1_000, (7,))
    rows = {row["event_id"]: row for row in shown.to_pylist()}
    assert set(rows) == {"a-i0", "a-i1", "b-i0", "b-i1"}
    assert missing == 0
    assert rows["a-i0"] == {"event_id": "a-i0", "event_type": "impression", "user_id": "u1", "item_id": "i1",
                            "event_time_ms": 4_000,
                            "ingest_time_ms": 5_000, "request_id": "r1", "context": None}
    assert (rows["a-i1"]["item_id"], rows["a-i1"]["user_id"], rows["a-i1"]["request_id"]) == ("i2", "u1", "r1")
