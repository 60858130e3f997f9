"""Training rows from a small log: labels, sample, what was known, and the point-in-time join."""

import pandas as pd
import pytest

from features.clock import from_ms
from features.errors import ConfigError, DataError
from features.names import TABLE_TRAINING_FRAME
from spark_jobs import entity_index, item_stats, training_frame, user_history
from spark_jobs.training_frame import EVENT_COLUMNS, frame_rows, in_sample, with_maturity
from tests.spark_jobs.conftest import event, ms

pytestmark = pytest.mark.spark


def log():
    return [
        event("t0", "click", "u1", "i2", "01-03 20:00"),
        event("s1", "impression", "u1", "i1", "01-04 10:00:00", request="r1"),
        event("s2", "impression", "u1", "i2", "01-04 10:00:00", request="r1"),
        event("s2", "impression", "u1", "i2", "01-04 10:00:00", "01-04 11:00", request="r1"),
        event("c1", "click", "u1", "i1", "01-04 10:00:09", request="r1"),
        event("s3", "impression", "u1", "i1", "01-04 18:00:00", request="r2"),
        event("o1", "order", "u1", "i1", "01-04 18:05:00"),
        event("s4", "impression", "u2", "i3", "01-04 23:59:00"),
        event("c2", "click", "u2", "i3", "01-05 00:01:00"),
        event("s5", "impression", "u2", "i3", "01-05 10:00:00")]


ITEMS = [("i1", "Oats", None, "01-01 10:00:00", None, "01-01 10:00"),
         ("i2", "Rye", None, "01-04 09:59", None, "01-04 09:00"), ("i3", "Barley", None, "02-01 00:00", None, "01-01 00:00")]
COLUMNS = ("event_id", "clicked", "ordered", "user_row", "item_row", "hour_of_day", "day_of_week", "history_rows",
           "online_days", "exposure_7d", "click_7d", "maturity_tick", "repeat_count", "repeat_age_days")


@pytest.mark.feast
def test_a_frame_says_what_was_shown_what_came_of_it_and_what_was_known(home):
    home.add_events(log())
    home.add_items(ITEMS)
    home.run_all(entity_index, "2026-01-05")
    home.run(item_stats, "2026-01-03", "2026-01-05")
    home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=1.0)
    tick = from_ms(ms("01-04 10:00:10"))
    expected = [
        # s1 was clicked within its request; u1 had taken i2 the evening before. Nothing of i1 was published yet.
        ("s1", 1, 0, 2, 2, 10, 6, [3], 3, 0, 0, None, 0.0, -1.0),
        # s2 (its repeat does not count): i2's click of the evening is known, 14 h ago.
        ("s2", 0, 0, 2, 3, 10, 6, [3], 0, 0, 1, from_ms(ms("01-03 20:00:10")), 1.0, pytest.approx(14 / 24)),
        # s3: the order names no request and goes to the newest impression; it took a click, too.
        ("s3", 1, 1, 2, 2, 18, 6, [2, 3], 3, 1, 1, tick, 1.0, pytest.approx((8 * 3600 - 9) / 86_400)),
        # s4: the click came after as_of, and i3 is not online yet.
        ("s4", 0, 0, 3, 4, 23, 6, [], -1, 0, 0, None, 0.0, -1.0)]
    assert home.rows(TABLE_TRAINING_FRAME, *COLUMNS) == expected

    home.run(item_stats, "2026-01-05", "2026-01-06")
    run = home.run(training_frame, "2026-01-04", "2026-01-06", user_day_share=1.0)
    later = {row[0]: row for row in home.rows(TABLE_TRAINING_FRAME, *COLUMNS)}
    assert later["s4"][1] == 1, "the click is known by now"
    assert [later[name] for name in ("s1", "s2", "s3")] == expected[:3]
    assert later["s5"][7] == [4]
    assert run.facts["clicked"] == 3


def test_earlier_takes_come_from_the_history_partition_and_say_the_same_as_the_log(home):
    old = [event(f"o{n}", "click", "u1", f"i{n}", f"01-0{1 + n} 12:00") for n in range(3)]
    home.add_events([*old, event("s", "impression", "u1", "i1", "01-20 10:00")])
    home.run(user_history, "2026-01-01", "2026-01-12")
    run = home.begin(training_frame, "2026-01-20", "2026-01-21")
    from_partition = sorted(frame_rows(described(run), run.first, 1.0).collect())
    assert run.facts["history_from"] == "2026-01-11"
    home.drop("user_history")
    run = home.begin(training_frame, "2026-01-20", "2026-01-21")
    from_log = sorted(frame_rows(described(run), run.first, 1.0).collect())
    assert run.facts["history_from"] == "events"
    assert from_partition == from_log
    assert from_log[0]["history_rows"] == [3, 2, 1]


def described(run):
    """Known events with rows made up for the test: item iN has row N + 1."""
    return training_frame.known_events(run).select(*EVENT_COLUMNS).selectExpr(
        "*", "cast(substr(item_id, 2) as int) + 1 as item_row", "2 as user_row", "cast(null as long) as published_ms")


def test_the_sample_is_whole_user_days_and_grows_with_its_share(spark):
    days = spark.range(3_000).selectExpr("concat('u', id % 300) as user_id", "concat('2026-01-', id % 10 + 10) as ds")
    chosen = {share: {tuple(row) for row in days.where(in_sample(share)).collect()} for share in (0.1, 0.3, 1.0)}
    assert chosen[0.1] < chosen[0.3] < chosen[1.0]
    assert len(chosen[1.0]) == 300
    assert 0.2 < len(chosen[0.3]) / len(chosen[1.0]) < 0.4


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_outside_its_range_is_refused(home, share):
    with pytest.raises(ConfigError, match="must be in"):
        home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=share)


@pytest.mark.parametrize("spoil", [lambda rows: rows.iloc[1:], lambda rows: pd.concat([rows.iloc[1:], rows.iloc[1:2]])])
def test_a_join_that_loses_or_doubles_a_row_stops_the_run(spark, tmp_path, spoil):
    frame = spark.createDataFrame([(f"e{n}", "i1", 1_000) for n in range(3)], "event_id string, item_id string, event_ms long")
    with pytest.raises(DataError, match="nothing was written"):
        with_maturity(frame, lambda asked: spoil(asked.assign(exposure_7d=1, click_7d=0, tick=asked["event_time"])), tmp_path)
