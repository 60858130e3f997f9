"""Every rule of every suite is broken once; a good frame passes. Great Expectations judges, so these take seconds."""

import numpy as np
import pandas as pd
import pytest

from features import expectation_columns as columns
from features import expectations

pytestmark = pytest.mark.gx

DAY = pd.Timestamp("2026-11-20", tz="UTC")
ROWS = 40


def good_events():
    at = DAY + pd.to_timedelta(np.arange(ROWS), unit="min")
    return pd.DataFrame({
        "event_id": [f"e{n}" for n in range(ROWS)], "event_type": ["impression", "impression", "click", "order"] * (ROWS // 4),
        "user_id": [f"u{n % 3}" for n in range(ROWS)], "item_id": [f"i{n % 5}" for n in range(ROWS)], "event_time": at,
        "ingest_time": at,
        "source": "history", "partition": -1, "offset": np.arange(ROWS), "ds": "2026-11-20"})


def good_items():
    return pd.DataFrame({
        "item_id": [f"i{n}" for n in range(ROWS)], "title": "Oats", "attributes": '{"brand": "A"}', "published_at": DAY,
        "vector": [np.ones(4, np.float32)] * ROWS, "ingest_time": DAY})


def good_sids():
    return pd.DataFrame({
        "item_id": [f"i{n}" for n in range(ROWS)], "codes": [np.array([n % 256, 0, 255, 3], np.int32) for n in range(ROWS)],
        "assigned_at": DAY, "codebook_version": "cb-1"})


def good_frame():
    return pd.DataFrame({
        "event_id": [f"e{n}" for n in range(ROWS)], "user_id": "u", "item_id": "i", "event_time": DAY + pd.Timedelta(hours=5),
        "ds": "2026-11-20", "clicked": np.int8([1, 0] * (ROWS // 2)), "ordered": np.int8([1, 0, 0, 0] * (ROWS // 4)),
        "user_row": 2,
        "item_row": 3, "hour_of_day": 5, "day_of_week": 4, "history_rows": [np.array([2, 3], np.int32),
                                                                            np.array([], np.int32)] * 20,
        "online_days": 7, "exposure_7d": 100, "click_7d": 3, "maturity_tick": DAY + pd.Timedelta(hours=4), "served": False,
        "repeat_count": np.float32([0, 2] * 20), "repeat_age_days": np.float32([-1, 3.5] * 20)})


SUITES = {
    "events": (good_events, columns.events_view, expectations.events_suite),
    "items": (good_items, columns.items_view, expectations.items_suite),
    "semantic_ids": (good_sids, columns.semantic_ids_view, lambda: expectations.semantic_ids_suite("cb-1")),
    "training_frame": (good_frame, columns.training_frame_view, expectations.training_frame_suite),
}


# Suite -> one broken cell a line: column, value, the expectation that must name it, and the column that it names.
BROKEN_CELLS = {
    "events": [
        ("user_id", None, "values_to_not_be_null", "user_id"),
        ("event_time", pd.NaT, "values_to_not_be_null", "event_time"),
        ("event_type", "view", "values_to_be_in_set", "event_type"),
        ("source", "elsewhere", "values_to_be_in_set", "source"),
        ("item_id", "i" * 257, "values_to_be_between", "item_id_length"),
        ("event_time", DAY + pd.Timedelta(hours=2), "values_to_be_between", "seconds_ahead"),
        ("ds", "2026-11-21", "values_to_be_in_set", "ds_is_day_of_ingest"),
        ("offset", 30, "compound_columns_to_be_unique", "ds, source, partition, offset"),
    ],
    "items": [
        ("item_id", "i30", "values_to_be_unique", "item_id"),
        ("published_at", None, "values_to_not_be_null", "published_at"),
        ("title", "x" * 4_097, "values_to_be_between", "title_length"),
        ("attributes", "not JSON", "values_to_be_in_set", "attributes_fit"),
        ("attributes", '{"price": 5}', "values_to_be_in_set", "attributes_fit"),
        ("vector", np.ones(3, np.float32), "values_to_be_in_set", "vector_fits"),
        ("vector", np.array([1, np.nan, 1, 1], np.float32), "values_to_be_in_set", "vector_fits"),
    ],
    "semantic_ids": [
        ("item_id", "i30", "values_to_be_unique", "item_id"),
        ("codes", np.array([1, 2, 3]), "values_to_be_between", "codes_length"),
        ("codes", None, "values_to_be_between", "codes_length"),
        ("codes", np.array([1, 2, 3, 256]), "values_to_be_between", "largest_code"),
        ("codes", np.array([-2, -2, -2, -2]), "values_to_be_between", "smallest_code"),
        ("codes", np.array([-1, 2, 3, 4]), "values_to_be_in_set", "all_codes_or_none"),
        ("codebook_version", "cb-2", "values_to_be_in_set", "codebook_version"),
    ],
    "training_frame": [
        ("event_id", "e30", "values_to_be_unique", "event_id"),
        ("ordered", 1, "pair_values_a_to_be_greater_than_b", "clicked, ordered"),
        ("clicked", 2, "values_to_be_in_set", "clicked"),
        ("item_row", 0, "values_to_be_between", "item_row"),
        ("user_row", None, "values_to_not_be_null", "user_row"),
        ("hour_of_day", 24, "values_to_be_between", "hour_of_day"),
        ("hour_of_day", 6, "values_to_be_in_set", "hour_fits"),
        ("history_rows", np.arange(51), "values_to_be_between", "history_length"),
        ("history_rows", np.array([-4]), "values_to_be_between", "smallest_history_row"),
        ("online_days", -2, "values_to_be_between", "online_days"),
        ("exposure_7d", -1, "values_to_be_between", "exposure_7d"),
        ("maturity_tick", DAY + pd.Timedelta(hours=5), "values_to_be_between", "seconds_since_tick"),
        ("repeat_count", 5, "values_to_be_in_set", "repeat_fits"),
    ],
}
# What no single row shows.
BROKEN_SHARES = {
    "events": ({"event_id": "e", "event_type": "click"}, {"event_id", "is_impression"}),
    "items": ({"title": None, "attributes": None, "vector": None}, {"has_content"}),
    "semantic_ids": ({"codes": pd.Series([np.full(4, -1)] * ROWS)}, {"has_sid"}),
    "training_frame": ({"clicked": 0, "ordered": 0}, {"clicked"}),
}


@pytest.fixture
def judge(tmp_path):
    """judge(suite, frame) -> the outcome."""
    def run(name, frame):
        _, view, suite = SUITES[name]
        return expectations.run(suite(), view(frame), tmp_path / name)
    return run


@pytest.mark.parametrize("name", SUITES)
def test_a_good_frame_passes_and_its_page_is_written(judge, name):
    outcome = judge(name, SUITES[name][0]())
    assert outcome.ok
    assert outcome.failures == []
    assert outcome.expectations >= 10
    assert "<html" in outcome.docs.read_text().lower()


@pytest.mark.parametrize("name", SUITES)
def test_each_broken_rule_is_named_with_its_column_and_rows(judge, name):
    frame, key = SUITES[name][0](), expectations.ID_COLUMNS[name][0]
    ids = frame[key].tolist()
    for row, (column, value, _, _) in enumerate(BROKEN_CELLS[name], 4):
        values = frame[column].tolist()
        values[row] = value
        frame[column] = pd.Series(values, dtype=frame[column].dtype if column in ("event_time", "maturity_tick") else None)
    outcome = judge(name, frame)
    assert not outcome.ok
    found = {(failure.expectation, failure.column): failure for failure in outcome.failures}
    for row, (column, value, expectation, named) in enumerate(BROKEN_CELLS[name], 4):
        failure = found.get((f"expect_column_{expectation}", named)) or found.get((f"expect_{expectation}", named))
        assert failure is not None, f"{expectation} on {named} did not fail; {sorted(found)} did"
        shown = {sample[key] for sample in failure.samples}
        assert (value if column == key else ids[row]) in shown
        assert named in str(failure)
    assert {named for _, named in found} == {named for _, _, _, named in BROKEN_CELLS[name]}


@pytest.mark.parametrize("name", SUITES)
def test_a_share_out_of_bounds_is_named(judge, name):
    changes, columns_named = BROKEN_SHARES[name]
    outcome = judge(name, SUITES[name][0]().assign(**changes))
    assert {failure.column for failure in outcome.failures} == columns_named
    assert "expected" in str(outcome.failures[0])


def test_an_empty_frame_fails(judge):
    outcome = judge("events", good_events().head(0))
    assert "the whole table" in {failure.column for failure in outcome.failures}


def test_a_maturity_row_may_be_absent(judge):
    frame = good_frame()
    frame["maturity_tick"] = pd.Series([pd.NaT] * ROWS, dtype=frame.maturity_tick.dtype)
    assert judge("training_frame", frame).ok


def test_a_served_row_may_be_of_the_hour_before_and_of_a_tick_just_published(judge):
    frame = good_frame()
    frame["hour_of_day"], frame["maturity_tick"] = 4, frame.event_time - pd.Timedelta(milliseconds=300)
    assert {failure.column for failure in judge("training_frame", frame).failures} == {"hour_fits", "seconds_since_tick"}
    assert judge("training_frame", frame.assign(served=True)).ok
    assert not judge("training_frame", frame.assign(served=True, maturity_tick=frame.event_time + pd.Timedelta(seconds=3))).ok


def test_a_training_row_that_is_no_impression_of_the_log_fails(tmp_path):
    known = pd.Series([f"e{n}" for n in range(ROWS) if n != 11])
    outcome = expectations.run(expectations.training_frame_suite(), columns.training_frame_view(good_frame(), known), tmp_path)
    assert [failure.column for failure in outcome.failures] == ["is_known_impression"]
    assert outcome.failures[0].samples[0]["event_id"] == "e11"


def test_rows_in_equal_rows_out_per_user_and_day(tmp_path):
    counts = pd.DataFrame({"user_id": ["a", "b"], "ds": "2026-11-20", "rows": [5, 4], "impressions": [5, 5]})
    outcome = expectations.run(expectations.training_rows_suite(), counts, tmp_path)
    assert outcome.failures[0].column == "rows, impressions"
    assert outcome.failures[0].samples[0]["user_id"] == "b"


def test_only_the_newest_runs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(expectations, "RUNS_KEPT", 2)
    frame = pd.DataFrame({"user_id": ["a"], "ds": "2026-11-20", "rows": [5], "impressions": [5]})
    for number in range(3):
        expectations.run(expectations.training_rows_suite(), frame, tmp_path, f"run-{number}")
    expectations.forget_old_runs(tmp_path)
    kept = {folder.parent.name for folder in (tmp_path / "gx/uncommitted/validations").glob("*/*/*") if folder.is_dir()}
    assert kept == {"run-1", "run-2"}
