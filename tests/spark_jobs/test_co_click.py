"""Co-click pairs by hand arithmetic, from the lake to the lake."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.clock import parse_as_of
from features.errors import ConfigError, DataError
from features.names import TABLE_CO_CLICK_PAIRS
from infra.settings import load_settings
from spark_jobs import co_click
from tests.spark_jobs.conftest import event

PAIRS = ("ds", "item_a", "item_b", "count", "lift")


def baskets():
    """Day 5: u1, u2 take a+b, u3 takes a+c, u4 takes a. Day 6: u5 takes b+a late in the day, u1 takes c."""
    at = {"u1": "ab", "u2": "ab", "u3": "ac", "u4": "a"}
    rows = [event(f"{user}{item}", "click", user, item, "01-05 10:00") for user, items in at.items() for item in items]
    return [*rows, event("p", "order", "u5", "b", "01-06 22:00"), event("q", "click", "u5", "a", "01-06 23:00"),
            event("r", "click", "u1", "c", "01-06 09:00"), event("s", "impression", "u1", "z", "01-06 09:00")]


@pytest.mark.spark
def test_counts_lift_and_support_by_hand_over_a_range_and_day_by_day(home):
    home.add_events(baskets())
    run = home.run(co_click, "2026-01-05", "2026-01-07")
    # Day 5: of 4 users 4 took a, 2 took b: lift of a+b = 2 * 4 / (4 * 2). By day 6, of 6 user-days 5 took a, 3 took b and
    # 2 took c: a+b 3 * 6 / (5 * 3), a+c, of users 1 and 3, 2 * 6 / (5 * 2); b+c has one user only.
    expected = [("2026-01-05", "a", "b", 2, 1.0), ("2026-01-05", "b", "a", 2, 1.0), ("2026-01-06", "a", "b", 1, 1.2),
                ("2026-01-06", "a", "c", 1, 1.2), ("2026-01-06", "b", "a", 1, 1.2), ("2026-01-06", "c", "a", 1, 1.2)]
    assert home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS) == expected
    seen = dict(zip(home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS), home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS, "last_seen"), strict=True))
    assert seen[expected[2]][-1] == datetime(2026, 1, 6, 23, tzinfo=UTC)
    assert run.facts["filters"] == {
        "takes_compared": 6, "further_apart_than_window": 0, "same_item": 0, "takes_cut_by_cap": 0, "user_pairs_in_range": 6,
        "pairs_of_days": 5, "pairs_of_days_below_min_support": 2, "pairs_of_days_below_min_lift": 0,
        "rows_kept_in_both_orders": 6}
    for first, as_of in (("2026-01-05", "2026-01-06"), ("2026-01-06", "2026-01-07")):
        home.run(co_click, first, as_of)
        assert home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS) == expected


@pytest.mark.spark
def test_an_item_in_a_third_of_the_sessions_does_not_look_like_a_friend_of_all(home):
    """It is in 300 of 1,000 sessions whatever else is in them; x and y are in 40 sessions together and nowhere else."""
    rng = np.random.default_rng(5)
    sessions = [["hot", f"i{rng.integers(50)}"] if n < 300 else ["x", "y"] if n < 340 else
                [f"i{k}" for k in rng.choice(50, 2, replace=False)] for n in range(1000)]
    home.add_events([event(f"e{n}{item}", "click", f"u{n}", item, "01-05 10:00") for n, session in enumerate(sessions)
                     for item in session])
    home.run(co_click, "2026-01-05", "2026-01-06", min_lift=0.0)
    rows = {(a, b): (count, lift) for a, b, count, lift in home.rows(TABLE_CO_CLICK_PAIRS, "item_a", "item_b", "count", "lift")}
    assert rows["x", "y"] == (40, 1000 / 40)
    hot = [lift for (a, _), (_, lift) in rows.items() if a == "hot"]
    assert len(hot) > 40  # frequent with everything
    assert max(hot) < 1.6  # but as often as it is popular, and no more


@pytest.mark.spark
def test_pairs_that_chance_explains_are_removed_and_counted(home):
    """a is in every session: with it each item is found as often as chance has it. b and c come together or not at all."""
    sessions = [["a", "b", "c"]] * 4 + [["a", "d"]] * 4
    home.add_events([event(f"e{n}{item}", "click", f"u{n}", item, "01-05 10:00")
                     for n, session in enumerate(sessions) for item in session])
    run = home.run(co_click, "2026-01-05", "2026-01-06", min_lift=1.5)
    assert home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS) == [("2026-01-05", "b", "c", 4, 2.0), ("2026-01-05", "c", "b", 4, 2.0)]
    assert run.facts["filters"]["pairs_of_days_below_min_lift"] == 3
    assert run.facts["rules"]["min_lift"] == 1.5
    run = home.run(co_click, "2026-01-05", "2026-01-06")  # as often as chance has it is enough
    assert (run.rows["out"], run.facts["filters"]["pairs_of_days_below_min_lift"]) == (8, 0)


@pytest.mark.spark
def test_nights_add_up_to_one_run_with_late_takes_baskets_and_thresholds_that_bite(home):
    """500 takes of 12 users over nine days, some known days after they happened, many at one moment."""
    rng = np.random.default_rng(11)
    first = datetime(2026, 1, 5, tzinfo=UTC)
    happened = [first + timedelta(hours=int(hour)) for hour in rng.integers(0, 9 * 24, 500)]
    known = [at + timedelta(days=int(late)) for at, late in zip(happened, rng.choice([0, 0, 0, 1, 3], 500), strict=True)]
    home.add_events([
        event(f"e{n}", "click", f"u{rng.integers(12)}", f"i{int(25 * rng.random() ** 2)}", *(
            f"{moment:%m-%d %H:%M}" for moment in (at, seen)))
        for n, (at, seen) in enumerate(zip(happened, known, strict=True)) if seen < first + timedelta(days=9)])
    rules = {"support_days": 4, "cap": 3, "min_lift": 1.3}
    whole = home.run(co_click, "2026-01-05", "2026-01-14", **rules)
    rows = home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS, "last_seen")
    removed = whole.facts["filters"]
    summed = ("pairs_of_days", "pairs_of_days_below_min_support", "pairs_of_days_below_min_lift", "rows_kept_in_both_orders")
    assert min(removed["takes_cut_by_cap"], *(removed[name] for name in summed)) > 20
    nights = [home.run(co_click, f"2026-01-{day:02}", f"2026-01-{day + 1:02}", **rules).facts["filters"]
              for day in range(5, 14)]
    assert home.rows(TABLE_CO_CLICK_PAIRS, *PAIRS, "last_seen") == rows
    for name in summed:
        assert sum(night[name] for night in nights) == removed[name], name


@pytest.mark.spark
def test_a_day_without_takes_lists_nothing(home):
    home.add_events([event("s", "impression", "u1", "z", "01-06 09:00")])
    run = home.run(co_click, "2026-01-05", "2026-01-07")
    assert run.rows == {"in": 0, "out": 0, "rejected": {}}
    assert set(run.facts["filters"].values()) == {0}


@pytest.mark.spark
def test_two_items_of_one_number_are_refused(home, monkeypatch):
    home.add_events([event("p", "click", "u1", "a", "01-05 10:00"), event("q", "click", "u1", "b", "01-05 10:00")])
    monkeypatch.setattr(co_click.F, "xxhash64", lambda *_: co_click.F.lit(7).cast("long"))
    known = co_click.takes(home.begin(co_click, "2026-01-05", "2026-01-06").read("events"))
    with pytest.raises(DataError, match="items (a and b|b and a) have the same 64-bit hash.*another id"):
        co_click.item_numbers(known, parse_as_of("2026-01-05"))


def test_rules_are_the_settings_and_what_this_run_was_given():
    settings = load_settings({"GATESID_CO_CLICK__CAP": "7"})
    rules = co_click.rules_of(settings, co_click.options().parse_args(["--as-of", "2026-01-06", "--min-lift", "2"]))
    assert (rules.cap, rules.min_lift, rules.min_support) == (7, 2.0, 2)
    with pytest.raises(ConfigError, match=r"\[co_click\] window_hours, cap, min_support and support_days must be positive"):
        load_settings({"GATESID_CO_CLICK__CAP": "0"})
