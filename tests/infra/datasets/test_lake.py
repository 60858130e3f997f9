"""Loading history: whole days, once each, also when the load is killed.

    commit items ─ commit day 1 ─ commit day 2 ─ ✂ killed ─     run again: day 1, 2 present, day 3 … loaded
"""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.artefacts import read_manifest
from features.errors import ArtefactError, DataError, SchemaError
from features.events import EVENT_COLUMNS
from infra.datasets.lake import arrow_schema, load
from infra.datasets.prepared import EventFiles, publish, write_items

FIRST, AS_OF = date(2026, 11, 10), date(2026, 11, 15)


@pytest.fixture
def journey_prepared(prepare_journey):
    folder, _ = prepare_journey(history_days=14)
    return folder


def table(layout, name):
    return DeltaTable(str(layout.table(name))).to_pyarrow_table().to_pandas()


def test_every_prepared_event_of_the_days_is_in_the_lake_once(journey_prepared, layout, read_events):
    loaded = load(layout, "complete_journey", FIRST, AS_OF)
    found = table(layout, "events").sort_values(["ds", "offset"], ignore_index=True)
    expected = read_events(journey_prepared)
    expected["ds"] = pd.to_datetime(expected.ingest_time_ms, unit="ms").dt.strftime("%Y-%m-%d")
    expected = expected[(expected.ds >= "2026-11-10") & (expected.ds < "2026-11-15")].reset_index(drop=True)
    assert loaded.events == len(found) == len(expected)
    assert loaded.days == ["2026-11-10", "2026-11-11", "2026-11-12", "2026-11-13", "2026-11-14"]
    for column in ("event_id", "event_type", "user_id", "item_id", "request_id", "ds"):
        assert (found[column] == expected[column]).all()
    assert (found.event_time.astype("int64") // 1_000 == expected.event_time_ms).all()
    assert (found.ingest_time.astype("int64") // 1_000 == expected.ingest_time_ms).all()
    assert set(found.source) == {"history"}
    assert set(found.partition) == {-1}
    assert (found.offset == found.groupby("ds").cumcount()).all()


def test_the_tables_have_the_contracts_columns_and_are_partitioned_by_day(journey_prepared, layout):
    load(layout, "complete_journey", FIRST, AS_OF)
    events = DeltaTable(str(layout.table("events")))
    assert pa.schema(events.schema().to_arrow()).equals(arrow_schema(EVENT_COLUMNS))
    assert events.metadata().partition_columns == ["ds"]


def test_items_published_before_as_of_are_loaded_and_later_ones_wait(journey_prepared, layout):
    load(layout, "complete_journey", FIRST, AS_OF)
    prepared = pd.read_parquet(journey_prepared / "items.parquet")
    bound = pd.Timestamp(AS_OF).value // 10**6
    found = table(layout, "items")
    assert set(found.item_id) == set(prepared[prepared.published_at_ms < bound].item_id)
    assert (found.ingest_time == found.published_at).all()


def test_loading_again_changes_nothing_and_more_days_append(journey_prepared, layout):
    first = load(layout, "complete_journey", FIRST, AS_OF)
    again = load(layout, "complete_journey", FIRST, AS_OF)
    assert (again.events, again.items, again.days) == (0, 0, [])
    assert again.days_present == first.days
    assert (again.events_version, again.items_version) == (first.events_version, first.items_version)
    more = load(layout, "complete_journey", FIRST, date(2026, 11, 17))
    assert more.days == ["2026-11-15", "2026-11-16"]
    assert table(layout, "events").event_id.is_unique
    assert table(layout, "items").item_id.is_unique


@pytest.mark.parametrize("killed_after", ["items", "2026-11-10", "2026-11-12"])
def test_a_load_killed_between_commits_leaves_whole_days_and_the_next_completes_it(journey_prepared, layout, killed_after):
    def kill(what):
        if what == killed_after:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        load(layout, "complete_journey", FIRST, AS_OF, after_commit=kill)
    rows = read_manifest(journey_prepared)["rows_by_day"]
    for ds, count in table(layout, "events").groupby("ds").size().items():
        assert count == rows[ds]
    load(layout, "complete_journey", FIRST, AS_OF)
    found = table(layout, "events").groupby("ds").size()
    assert found.to_dict() == {ds: count for ds, count in rows.items() if "2026-11-10" <= ds < "2026-11-15"}
    assert table(layout, "items").item_id.is_unique


def test_two_loads_at_once_leave_each_day_once(journey_prepared, layout):
    def race(what):
        if what == "items":
            load(layout, "complete_journey", FIRST, AS_OF)
    outer = load(layout, "complete_journey", FIRST, AS_OF, after_commit=race)
    assert outer.events == 0
    assert table(layout, "events").event_id.is_unique


def test_what_kafka_brought_already_is_left_out(journey_prepared, layout):
    load(layout, "complete_journey", date(2026, 11, 9), FIRST)
    day = pd.read_parquet(journey_prepared / "events" / "2026-11-10.parquet")
    moment = pd.to_datetime(day.ingest_time_ms, unit="ms", utc=True)
    live = pd.DataFrame({
        **{name: day[name] for name in ("event_id", "event_type", "user_id", "item_id", "request_id", "context")},
        "event_time": moment, "ingest_time": moment, "source": "kafka", "partition": np.int32(0), "offset": np.arange(len(day)),
        "ds": "2026-11-10"}).head(3)
    schema = arrow_schema(EVENT_COLUMNS)
    write_deltalake(str(layout.table("events")), pa.Table.from_pandas(live[schema.names], schema=schema), mode="append")
    loaded = load(layout, "complete_journey", FIRST, date(2026, 11, 11))
    assert loaded.left_out == 3
    assert table(layout, "events").event_id.is_unique


def test_days_of_an_earlier_preparation_stay_and_that_is_said(prepare_journey, layout):
    prepare_journey()
    load(layout, "complete_journey", FIRST, AS_OF)
    prepare_journey(seed=99)
    again = load(layout, "complete_journey", FIRST, AS_OF)
    assert again.events == 0
    assert again.days_from_another_preparation == again.days_present
    assert any("another preparation" in line for line in again.lines())


def test_days_that_the_data_set_does_not_have_are_refused(journey_prepared, layout):
    with pytest.raises(DataError, match="has 2026-11-08 to 2026-11-21, asked for 2027"):
        load(layout, "complete_journey", date(2027, 1, 1), date(2027, 1, 2))
    assert not layout.table("events").exists()


def test_a_second_data_set_does_not_mix_into_the_lake(journey_prepared, layout):
    load(layout, "complete_journey", FIRST, AS_OF)

    def copy(draft):
        files = EventFiles(draft)
        files.write(pa.Table.from_pandas(pd.read_parquet(journey_prepared / "events" / "2026-11-10.parquet"),
                                         preserve_index=False))
        files.close()
        write_items(draft, pa.Table.from_pandas(pd.read_parquet(journey_prepared / "items.parquet"), preserve_index=False))
        return files.summary()
    publish(layout, "other", {}, copy)
    with pytest.raises(ArtefactError, match="holds the history of complete_journey, asked to load other"):
        load(layout, "other", FIRST, AS_OF)


def test_a_lake_of_other_columns_is_refused(journey_prepared, layout):
    layout.table("events").parent.mkdir(parents=True)
    write_deltalake(str(layout.table("events")), pa.table({"event_id": ["a"], "offset": ["b"]}))
    with pytest.raises(SchemaError, match=r"event_type is missing.*offset is string, expected int64"):
        load(layout, "complete_journey", FIRST, AS_OF)
