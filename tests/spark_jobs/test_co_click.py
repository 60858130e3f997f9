"""Co-click pairs by hand arithmetic."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from features.errors import ConfigError
from features.names import TABLE_CO_CLICK_PAIRS
from spark_jobs import co_click
from spark_jobs.pairs import COUNTS, PairRules, bucket_pairs
from tests.spark_jobs.conftest import event

HOUR = 3_600_000
PAIRS = ("ds", "item_a", "item_b", "count", "lift")


def take(user, item, at, ds="d1", event_id=None):
    return {"user_id": user, "item_id": item, "event_id": event_id or f"{user}{item}{at}", "event_ms": at * HOUR,
            "ingest_ms": at * HOUR, "partition": 0, "offset": at, "ds": ds}


def pairs(takes, **rules):
    """([(ds, a, b, users, hour last seen)], counts)."""
    rows = bucket_pairs(PairRules(**rules))(pa.Table.from_pylist(takes)).to_pylist()
    found = [(row["ds"], row["item_a"], row["item_b"], row["users"], row["seen_ms"] // HOUR) for row in rows[:-1]]
    return found, tuple(rows[-1][name] for name in COUNTS)


def test_two_takes_of_one_user_within_the_window_are_a_pair_in_the_order_of_the_ids():
    found, counts = pairs([take("u", "b", 0), take("u", "a", 24), take("u", "c", 49), take("v", "a", 0)])
    assert found == [("d1", "a", "b", 1, 24)]
    assert counts == (3, 2, 0, 0)


def test_a_user_counts_once_a_day_with_the_newest_sighting():
    found, _ = pairs([take("u", "a", 0), take("u", "b", 1), take("u", "a", 2), take("v", "a", 3), take("v", "b", 4)])
    assert found == [("d1", "a", "b", 2, 4)]


def test_an_item_makes_no_pair_with_itself():
    assert pairs([take("u", "a", 0), take("u", "a", 1)]) == ([], (1, 0, 1, 0))


def test_a_take_meets_at_most_cap_earlier_takes_the_newest():
    found, counts = pairs([take("u", item, n) for n, item in enumerate("abcd")], cap=2)
    assert [(a, b) for _, a, b, _, _ in found] == [("a", "b"), ("a", "c"), ("b", "c"), ("b", "d"), ("c", "d")]
    assert counts == (5, 0, 0, 1)  # d would have met a too


def test_one_user_with_a_hundred_thousand_takes_costs_no_more_than_cap_times_them():
    count, items = 100_000, 997
    takes = pa.table({
        "user_id": ["u"] * count, "item_id": [f"i{n % items}" for n in range(count)],
        "event_id": [f"e{n}" for n in range(count)], "event_ms": np.arange(count), "ingest_ms": np.arange(count),
        "partition": [0] * count, "offset": np.arange(count), "ds": ["d1"] * count})
    found = bucket_pairs(PairRules(cap=20))(takes).to_pandas()
    assert found[COUNTS[0]].sum() == 20 * count - 210  # the first takes have fewer before them
    assert found[COUNTS[3]].sum() == count - 21
    assert len(found) - 1 == 20 * items  # each pair of near items once: this user is one of many
    assert (found.users[:-1] == 1).all()


def test_a_repeated_event_makes_no_second_take():
    assert pairs([take("u", "a", 0, event_id="e"), take("u", "a", 3, event_id="e"), take("u", "b", 1)])[1] == (1, 0, 0, 0)


def test_a_pair_belongs_to_the_day_of_the_take_that_completed_it():
    assert pairs([take("u", "a", 20, "d1"), take("u", "b", 26, "d2")])[0] == [("d2", "a", "b", 1, 26)]


def test_rules_must_be_positive():
    with pytest.raises(ConfigError, match="must be at least 1"):
        PairRules(cap=0)


def baskets():
    """Day 5: u1, u2 take a+b, u3 takes a+c, u4 takes a. Day 6: u5 takes b+a late in the day, u1 takes c."""
    at = {"u1": "ab", "u2": "ab", "u3": "ac", "u4": "a"}
    rows = [event(f"{user}{item}", "click", user, item, "01-05 10:00") for user, items in at.items() for item in items]
    return [*rows, event("p", "order", "u5", "b", "01-06 22:00"), event("q", "click", "u5", "a", "01-06 23:00"),
            event("r", "click", "u1", "c", "01-06 09:00"), event("s", "impression", "u1", "z", "01-06 09:00")]


@pytest.mark.spark
def test_counts_lift_and_support_by_hand_over_a_range_and_day_by_day(home):
    home.add_events(baskets())
    rules = {"window_hours": 24, "cap": 20, "min_support": 2, "support_days": 28}
    run = home.run(co_click, "2026-01-05", "2026-01-07", **rules)
    # Day 5: of 4 users 4 took a, 2 took b: lift of a+b = 2 * 4 / (4 * 2). Day 6: of 2 users one took a and one b: 1 * 2 / 1.
    # Users 1 and 3 make a+c twice by day 6, where one took c and one a; b+c has one user only.
    expected = [("2026-01-05", "a", "b", 2, 1.0), ("2026-01-05", "b", "a", 2, 1.0), ("2026-01-06", "a", "b", 1, 2.0),
                ("2026-01-06", "a", "c", 1, 2.0), ("2026-01-06", "b", "a", 1, 2.0), ("2026-01-06", "c", "a", 1, 2.0)]
    assert home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS) == expected
    seen = dict(zip(home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS), home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS, "last_seen"), strict=True))
    assert seen[expected[2]][-1] == datetime(2026, 1, 6, 23, tzinfo=UTC)
    assert run.facts["filters"] == {
        "takes_compared": 6, "further_apart_than_window": 0, "same_item": 0, "takes_cut_by_cap": 0, "user_pairs_in_range": 6,
        "pairs_of_days": 5, "pairs_of_days_below_min_support": 2, "rows_kept_in_both_orders": 6}
    for first, as_of in (("2026-01-05", "2026-01-06"), ("2026-01-06", "2026-01-07")):
        home.run(co_click, first, as_of, **rules)
        assert home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS) == expected


@pytest.mark.spark
def test_an_item_in_a_third_of_the_sessions_does_not_look_like_a_friend_of_all(home):
    """It is in 300 of 1,000 sessions whatever else is in them; x and y are in 40 sessions together and nowhere else."""
    rng = np.random.default_rng(5)
    sessions = [["hot", f"i{rng.integers(50)}"] if n < 300 else ["x", "y"] if n < 340 else
                [f"i{k}" for k in rng.choice(50, 2, replace=False)] for n in range(1000)]
    home.add_events([event(f"e{n}{item}", "click", f"u{n}", item, "01-05 10:00") for n, session in enumerate(sessions)
                     for item in session])
    home.run(co_click, "2026-01-05", "2026-01-06", window_hours=24, cap=20, min_support=2, support_days=28)
    rows = {(a, b): (count, lift) for a, b, count, lift in home.rows(TABLE_CO_CLICK_PAIRS, "item_a", "item_b", "count", "lift")}
    assert rows["x", "y"] == (40, 1000 / 40)
    hot = [lift for (a, _), (_, lift) in rows.items() if a == "hot"]
    assert len(hot) > 40  # frequent with everything
    assert max(hot) < 1.6  # but as often as it is popular, and no more
