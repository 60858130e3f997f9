"""Training rows from a small log: labels, sample, what was known, and the point-in-time join."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import from_ms
from features.errors import ConfigError, DataError
from features.events import CLICK, IMPRESSION, ORDER
from features.names import TABLE_SERVED_FEATURES, TABLE_TRAINING_FRAME
from features.served_features import served_schema
from spark_jobs import entity_index, item_stats, training_frame, user_history
from spark_jobs.frame_rows import bucket_rows
from spark_jobs.training_frame import EVENT_COLUMNS, frame_rows, in_sample, maturity_by_feast, refuse_lost
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
DAY_MS = 86_400_000
FEATURES = ("event_id", "history_rows", "repeat_count", "repeat_age_days", "hour_of_day", "day_of_week", "online_days")
BUCKET_SCHEMA = pa.schema([
    *((name, pa.string()) for name in ("user_id", "item_id", "event_id", "event_type", "request_id", "ds")),
    *((name, pa.int64()) for name in ("event_ms", "ingest_ms", "published_ms")), ("item_row", pa.int32()),
    ("user_row", pa.int32()), ("wanted", pa.bool_())])
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

    def join(asked):
        return spoil(asked.assign(exposure_7d=1, click_7d=0, tick=asked["event_time"]))
    with pytest.raises(DataError, match="nothing was written"):
        maturity_by_feast(frame, join, tmp_path)


@pytest.mark.parametrize("kept", [["e0", "e1"], ["e0", "e1", "e2", "e2"], ["e0", "e1", "other"]])
def test_rows_that_are_not_the_impressions_each_once_stop_the_run(spark, kept):
    shown, rows = (spark.createDataFrame([(name,) for name in ids], "event_id string") for ids in (["e0", "e1", "e2"], kept))
    refuse_lost(shown, shown)
    with pytest.raises(DataError, match="3 impressions were to become training rows"):
        refuse_lost(shown, rows)


def prepare(home):
    home.add_events(log())
    home.add_items(ITEMS)
    home.run_all(entity_index, "2026-01-05")
    home.run(item_stats, "2026-01-03", "2026-01-05")


@pytest.mark.feast
def test_duckdb_and_spark_write_the_same_rows(home):
    prepare(home)
    written = []
    for store in ("duckdb", "spark"):
        home.settings = replace(home.settings, feast=replace(home.settings.feast, offline_store=store))
        home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=1.0)
        written.append(home.rows(TABLE_TRAINING_FRAME, *COLUMNS))
    assert written[0] == written[1]
    assert [row[9] for row in written[0]] == [0, 0, 1, 0]


@pytest.mark.feast
def test_an_item_that_stands_twice_in_an_index_stops_the_run_before_it_writes(home):
    prepare(home)
    rows = pa.table({"item_id": ["i1"], "row": pa.array([9], pa.int32())})
    write_deltalake(str(home.layout.table("item_index")), rows, mode="append")
    with pytest.raises(DataError, match="6 rows came of them and 0 event ids"):
        home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=1.0)
    assert not home.layout.table(TABLE_TRAINING_FRAME).exists()


def served_log(home, *requests):
    """Requests (request_id, user, served at, {column: value}), one candidate each, as the ranking API logs them."""
    rows = []
    for request_id, user, at, changes in requests:
        rows.append({
            "request_id": request_id, "user_id": user, "served_at": from_ms(ms(at)), "at": from_ms(ms(at)), "ranker": "tiny",
            "model_version": 1, "contract_hash": "c", "degraded": "", "history_version_ms": 1, "taken_item_ids": [],
            "taken_at_ms": [], "history_item_ids": [], "history_codes": [], "item_ids": ["i1"], "item_codes": [[-1] * 4],
            "online_days": [0.0], "exposure_7d": [0.0], "click_7d": [0.0], "maturity_tick_ms": [-1], "repeat_count": [0.0],
            "repeat_age_days": [-1.0], "defaults": [""], "ds": from_ms(ms(at)).date().isoformat()} | changes)
    table = pa.Table.from_pylist(rows, schema=served_schema())
    write_deltalake(str(home.layout.table(TABLE_SERVED_FEATURES)), table, partition_by=["ds"], mode="append")


@pytest.mark.feast
def test_a_row_of_a_logged_request_is_what_was_served(home):
    prepare(home)
    tick = ms("01-04 17:59:50")
    logged = {"history_item_ids": ["i9", "i2"], "online_days": [7.0], "exposure_7d": [41.0], "click_7d": [5.0],
             "maturity_tick_ms": [tick], "repeat_count": [3.0], "repeat_age_days": [0.5]}
    served_log(
        home, ("r2", "u1", "01-04 17:59:58", logged),
        ("r2", "u1", "01-04 12:00", logged | {"exposure_7d": [1.0]}),  # the same id before: the last one counts
        ("r2", "u1", "01-04 18:00:01", logged | {"exposure_7d": [2.0]}),  # after the impression: another's
        ("r2", "u2", "01-04 17:59:59", logged | {"exposure_7d": [3.0]}),  # another user's
        ("r1", "u1", "01-04 09:59:59", logged | {"item_ids": ["i2"], "defaults": ["item_stats:stale_maturity"],
                                                "exposure_7d": [0.0], "click_7d": [0.0]}))
    run = home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=1.0)
    rows = {row[0]: row[1:] for row in home.rows(TABLE_TRAINING_FRAME, "event_id", "served", *COLUMNS[1:])}
    assert rows["s3"] == (True, 1, 1, 2, 2, 17, 6, [1, 3], 7, 41, 5, from_ms(tick), 3.0, 0.5)
    assert rows["s2"] == (True, 0, 0, 2, 3, 9, 6, [1, 3], 7, 0, 0, None, 3.0, 0.5), "a count too old to be true has no tick"
    assert (rows["s1"][0], rows["s4"][0]) == (False, False), "i1 was no candidate of r1; s4 has no request"
    assert run.facts["served"] == 2


@pytest.mark.feast
def test_what_comes_at_or_after_as_of_changes_no_row(home):
    """Late, back-filled and same-second events beyond the bound: everything that could leak, planted at once."""
    prepare(home)
    home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=1.0)
    before = home.rows(TABLE_TRAINING_FRAME, *COLUMNS)
    home.add_events([
        event("x1", "click", "u1", "i1", "01-04 09:00", "01-05 00:00"),  # back-filled: happened before, known after
        event("x2", "impression", "u1", "i1", "01-04 10:00:00", "01-05 00:00:00", request="r1"),  # of the same second
        event("x3", "order", "u2", "i3", "01-04 23:59:00", "01-06 09:00"),
        event("x4", "click", "u1", "i2", "01-05 00:00:00"),
        event("s1", "click", "u1", "i9", "01-04 10:00:00", "01-05 00:00:00", request="r1")])  # an id that was used
    home.add_items([("i1", "Oats", None, "01-04 00:00:00", None, "01-05 00:00")])
    served_log(home, ("r2", "u1", "01-05 00:00:00", {"exposure_7d": [9.0]}))
    home.run_all(entity_index, "2026-01-06")
    home.run(item_stats, "2026-01-05", "2026-01-06")
    home.run(item_stats, "2026-01-03", "2026-01-05")
    home.run(training_frame, "2026-01-04", "2026-01-05", user_day_share=1.0)
    assert home.rows(TABLE_TRAINING_FRAME, *COLUMNS) == before


EVENTS = st.lists(st.tuples(st.sampled_from([IMPRESSION, CLICK, ORDER]), st.integers(0, 2), st.integers(0, 3),
                            st.integers(-300_000, DAY_MS), st.integers(0, 3 * DAY_MS)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(known=EVENTS, later=EVENTS)
def test_features_of_an_impression_are_those_without_everything_it_could_not_know(known, later):
    """By property: an impression's features are the same whatever is ingested less than the availability delay before it."""
    as_of = 2 * DAY_MS

    def table(events, start, low):
        rows = [{"user_id": f"u{user}", "item_id": f"i{item}", "event_id": f"{start}-{n}", "event_type": kind,
                 "event_ms": low + at, "ingest_ms": max(low + at, low) + lag, "request_id": None, "ds": "2026-01-01",
                 "item_row": item + 2, "user_row": user + 2, "published_ms": 5, "wanted": kind == IMPRESSION}
                for n, (kind, user, item, at, lag) in enumerate(events)]
        return rows
    first = table(known, "k", 0)
    after = [row | {"ingest_ms": row["ingest_ms"] + 5 * DAY_MS, "wanted": False} for row in table(later, "l", 0)]
    after += [row | {"wanted": False} for row in table(later, "m", as_of + 5 * DAY_MS)]

    def features_of(rows):
        found = bucket_rows(pa.Table.from_pylist(rows, schema=BUCKET_SCHEMA)).to_pylist()
        return sorted(tuple(row[name] if name != "history_rows" else tuple(row[name]) for name in FEATURES) for row in found)
    assert features_of(first + after) == features_of(first)

