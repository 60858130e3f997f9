import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.artefacts import read_manifest
from features.clock import MS_PER_DAY, FixedClock
from features.errors import DataError
from features.layout import Layout
from infra.datasets import complete_journey


@pytest.fixture
def prepared(prepare_journey, read_events):
    folder, _ = prepare_journey()
    return folder, read_events(folder), read_manifest(folder)


def test_each_order_line_is_one_click_after_one_impression(prepared):
    _, events, manifest = prepared
    clicks = events[events.event_type == "click"]
    own = events[events.event_id.isin(clicks.event_id + "-i0")]
    assert len(own) == len(clicks) == manifest["rows"]["click"] > 500
    both = own.assign(click=own.event_id.str.removesuffix("-i0")).merge(clicks, left_on="click", right_on="event_id")
    assert (both.event_time_ms_y - both.event_time_ms_x == 1_000).all()
    for column in ("user_id", "item_id", "request_id"):
        assert (both[f"{column}_x"] == both[f"{column}_y"]).all()


def test_each_order_line_has_four_impressions_of_others_items_of_its_day(prepared):
    _, events, manifest = prepared
    shown = events[(events.event_type == "impression") & ~events.event_id.str.endswith("-i0")]
    line = shown.event_id.str.rsplit("-", n=1).str[0]
    assert (line.value_counts() == 4).all()
    assert len(shown) == 4 * manifest["rows"]["click"]
    assert manifest["negatives"] == 4
    clicks = events[events.event_type == "click"].assign(day=lambda frame: frame.event_time_ms // MS_PER_DAY)
    bought = clicks.groupby(["day", "item_id"]).user_id.agg(set)
    for row in shown.sample(300, random_state=1).itertuples():
        assert bought[(row.event_time_ms // MS_PER_DAY, row.item_id)] - {row.user_id}


def test_no_negative_is_in_its_own_basket(prepared):
    _, events, _ = prepared
    clicks = events[events.event_type == "click"]
    had = set(zip(clicks.request_id, clicks.item_id, strict=True))
    shown = events[(events.event_type == "impression") & ~events.event_id.str.endswith("-i0")]
    assert not had & set(zip(shown.request_id, shown.item_id, strict=True))


def test_a_basket_has_one_time_so_no_line_sees_another(prepared):
    _, events, _ = prepared
    times = events.groupby(["request_id", "event_type"]).event_time_ms.agg(["min", "max"])
    assert (times["min"] == times["max"]).all()
    assert (events.event_time_ms == events.ingest_time_ms).all()


@pytest.mark.parametrize("weekday", range(7))
def test_the_last_day_is_yesterday_whatever_the_weekday(journey, layout, read_events, weekday):
    now = datetime(2026, 11, 16, 9, tzinfo=UTC) + timedelta(days=weekday)
    folder, _ = complete_journey.prepare(layout, FixedClock(now), history_days=10, negatives=1, seed=1, path=journey)
    manifest = read_manifest(folder)
    assert manifest["last_day"] == (now.date() - timedelta(days=1)).isoformat()
    assert manifest["days"] == len(manifest["rows_by_day"]) == 10
    newest = read_events(folder).ingest_time_ms.max()
    assert newest < (pd.Timestamp(now.date()).value // 10**6)


def test_dates_move_by_whole_weeks(prepared, journey):
    _, events, manifest = prepared
    orders = pd.read_parquet(journey / "transactions.parquet")
    clicks = events[events.event_type == "click"]
    line = clicks.event_id.str.split("-").str[1].astype(int)
    source_ms = orders.transaction_timestamp.astype("datetime64[ms]").astype("int64").to_numpy()[line]
    moved = clicks.event_time_ms.to_numpy() - 1_000 - source_ms
    assert set(moved) == {manifest["shift_weeks"] * 7 * MS_PER_DAY}
    assert (clicks.user_id.to_numpy() == orders.household_id.astype(str).to_numpy()[line]).all()


def test_items_are_online_from_midnight_of_their_first_order_of_the_whole_year(prepared, journey):
    folder, _, manifest = prepared
    orders = pd.read_parquet(journey / "transactions.parquet")
    first = orders.groupby("product_id").transaction_timestamp.min().dt.floor("D") + pd.Timedelta(weeks=manifest["shift_weeks"])
    items = pd.read_parquet(folder / "items.parquet")
    found = pd.Series(pd.to_datetime(items.published_at_ms, unit="ms").to_numpy(), items.item_id.astype(int))
    assert (found.sort_index() == first[found.index].sort_index()).all()
    assert found.min() < pd.Timestamp(manifest["first_day"]), "older than the window of events"


def test_text_is_category_type_size_and_brand(prepared):
    folder, _, manifest = prepared
    items = pd.read_parquet(folder / "items.parquet").set_index("item_id")
    assert items.title["101"] == "CATEGORY 1 | TYPE 1 | 1 OZ | National"
    assert items.title["100"] == "CATEGORY 0 | TYPE 0 | Private"
    assert json.loads(items.attributes["100"]) == {
        "brand": "Private", "department": "GROCERY", "manufacturer_id": json.loads(items.attributes["100"])["manufacturer_id"],
        "product_category": "CATEGORY 0", "product_type": "TYPE 0"}
    assert items.title["149"] is None
    assert manifest["warnings"]["item without text"] == 1


def test_the_manifest_says_what_the_data_are(prepared):
    _, _, manifest = prepared
    assert manifest["labels"] == ["clicked"]
    assert "disputed" in manifest["provenance"]["about"]
    assert set(manifest["sources"]) == {"transactions.parquet", "products.parquet"}


def test_two_preparations_are_equal_byte_for_byte(prepare_journey, journey, clock, tmp_path):
    folder, _ = prepare_journey()
    other, _ = complete_journey.prepare(Layout(tmp_path / "other"), clock, history_days=14, negatives=4, seed=3, path=journey)
    assert read_manifest(folder)["files"] == read_manifest(other)["files"]


def test_a_day_is_the_same_whatever_the_window_around_it(prepare_journey):
    folder, _ = prepare_journey()
    long = read_manifest(folder)["files"]
    short = read_manifest(prepare_journey(history_days=5)[0])["files"]
    days = [name for name in short if name.startswith("events/")]
    assert len(days) == 5
    assert all(short[name] == long[name] for name in days)


def test_another_seed_draws_other_negatives_for_the_same_orders(prepare_journey, read_events):
    first = read_events(prepare_journey()[0])
    second = read_events(prepare_journey(seed=4)[0])
    assert set(first[first.event_type == "click"].event_id) == set(second[second.event_type == "click"].event_id)
    assert not first.item_id.equals(second.item_id)


def test_a_new_day_prepares_again_and_the_same_day_does_not(prepare_journey, clock):
    assert prepare_journey()[1]
    assert not prepare_journey()[1]
    clock.advance(timedelta(days=1))
    folder, made = prepare_journey()
    assert made
    assert read_manifest(folder)["last_day"] == "2026-11-22"


def test_an_altered_file_is_refused(prepare_journey, journey, layout):
    with (journey / "transactions.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"truncated or altered data file .*transactions\.parquet"):
        prepare_journey()
    assert not layout.dataset("complete_journey").exists()


def test_a_truncated_file_is_refused(prepare_journey, journey):
    whole = (journey / "products.parquet").read_bytes()
    (journey / "products.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated or altered"):
        prepare_journey()


def test_lines_that_are_no_orders_are_counted_and_left_out(journey_of, layout, clock):
    def change(orders, products):
        orders.loc[0, "quantity"] = 0
        orders.loc[1, "product_id"] = 999_999
        return pd.concat([orders, orders.iloc[[5]]], ignore_index=True)
    made, _ = complete_journey.prepare(layout, clock, history_days=60, negatives=1, seed=1, path=journey_of(change))
    rejected = read_manifest(made)["rejected"]
    assert rejected["quantity is not positive"] == 1
    assert rejected["product is not in products.parquet"] == 1
    assert rejected["repeats household, basket and product"] == 1
    assert "999999" not in set(pd.read_parquet(made / "items.parquet").item_id)


def test_an_order_in_the_last_second_of_a_day_keeps_its_click_on_that_day(journey_of, layout, clock, read_events):
    def change(orders, products):
        orders.loc[orders.transaction_timestamp.dt.date == date(2017, 12, 20), "transaction_timestamp"] = pd.Timestamp(
            "2017-12-20 23:59:59")
        return orders
    made, _ = complete_journey.prepare(layout, clock, history_days=10, negatives=1, seed=1, path=journey_of(change))
    events = read_events(made)
    days = events.assign(day=events.event_time_ms // MS_PER_DAY).groupby("request_id").day.nunique()
    assert days.max() == 1
    assert np.isin(events.event_time_ms % MS_PER_DAY, [MS_PER_DAY - 1_001, MS_PER_DAY - 1]).any()


def test_the_installed_package_is_the_pinned_one():
    folder = complete_journey.package_folder()
    for name, expected in complete_journey.SHA256.items():
        assert complete_journey.check_source(folder / name, expected) == expected
