"""Each kind of bad input, and that what is good goes on."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.artefacts import read_manifest
from features.clock import day_start_ms
from features.errors import ConfigError, DataError, SchemaError
from infra.datasets import own
from infra.datasets.mapping import read_mapping

T0 = day_start_ms(pd.Timestamp("2026-11-20").date())


def event(event_id="e1", event_type="impression", user_id="u1", item_id="i1", event_time=T0, **more):
    return {"event_id": event_id, "event_type": event_type, "user_id": user_id, "item_id": item_id, "event_time": event_time,
            **more}


GOOD = [event(), event("e2", "click", event_time=T0 + 5_000), event("e3", item_id="i2")]
ITEMS = [{"item_id": "i1", "title": "Oats", "published_at": T0 - 86_400_000},
         {"item_id": "i2", "title": "Milk", "published_at": T0}]


@pytest.fixture
def shop(tmp_path, layout, clock):
    """shop(events, items, columns="", **options) -> (manifest, folder) of what `prepare own` makes of CSV or Parquet files."""
    def prepare(events=GOOD, items=ITEMS, columns="", form="parquet", **options):
        paths = {}
        for name, rows in (("events", events), ("items", items)):
            frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
            paths[name] = tmp_path / f"{name}.{form}"
            frame.to_parquet(paths[name]) if form == "parquet" else frame.to_csv(paths[name], index=False)
        mapping = None
        if columns:
            mapping = tmp_path / "columns.toml"
            mapping.write_text(columns)
        folder, _ = own.prepare(layout, clock, name="shop", events=paths["events"], items=paths["items"], columns=mapping,
                                **options)
        return read_manifest(folder), folder
    return prepare


@pytest.fixture
def rejects(layout):
    """rejects() -> the rows of the reject file, None if there is none."""
    file = layout.dataset("shop.rejects.parquet")
    return lambda: pq.read_table(file).to_pandas() if file.is_file() else None


def test_good_files_in_the_contracts_names_need_no_mapping(shop, rejects, read_events):
    manifest, folder = shop()
    assert manifest["rows"] == {"impression": 2, "click": 1, "order": 0}
    assert manifest["labels"] == ["clicked"]
    assert manifest["rejected"] == {}
    assert rejects() is None
    assert read_events(folder).event_id.tolist() == ["e1", "e3", "e2"]
    assert pd.read_parquet(folder / "items.parquet").title.tolist() == ["Oats", "Milk"]


@pytest.mark.parametrize(("bad", "reason"), [
    (event(None), "null event_id"), (event("x", None), "null event_type"), (event("x", user_id=None), "null user_id"),
    (event("x", item_id=""), "null item_id"), (event("x", user_id="   "), "null user_id"),
    (event("x", event_time=None), "null event_time"), (event("x", "view"), "unknown event_type"),
    (event("x", user_id="u" * 257), "user_id longer than 256"), (event("x", item_id="i" * 257), "item_id longer than 256"),
    (event("e1"), "repeated event_id"), (event("x", event_time=4_000_000_000_000), "event_time more than 5 minutes in the "
                                                                                   "future"),
    (event("x", event_time=T0 // 1000), "event_time before 2000-01-01"),
    (event("x", event_time=-5), "event_time before 2000-01-01"),
])
def test_a_bad_row_is_rejected_with_its_reason_and_the_rest_goes_on(shop, rejects, read_events, capsys, bad, reason):
    frame = pd.DataFrame([*GOOD, bad]).astype({"event_time": "Int64"})
    manifest, folder = shop(frame)
    assert list(manifest["rejected"].values()) == [1]
    assert reason in next(iter(manifest["rejected"]))
    assert len(read_events(folder)) == 3
    rejected = rejects()
    assert rejected.row.tolist() == [4]
    assert reason in rejected.reasons[0]
    assert json.loads(rejected.record[0])["event_type"] == bad["event_type"]
    assert f"row 4: {rejected.record[0]}" in capsys.readouterr().out


def test_text_that_is_no_time_is_rejected(shop):
    manifest, _ = shop([*[row | {"event_time": "2026-11-20T10:00:00Z"} for row in GOOD], event("x", event_time="yesterday")])
    assert manifest["rejected"] == {"events.parquet: unreadable event_time": 1}


def test_a_row_with_two_faults_is_one_reject_with_both_reasons(shop, rejects):
    shop([*GOOD, event("x", "view", user_id=None)])
    assert len(rejects()) == 1
    assert "null user_id; unknown event_type" in rejects().reasons[0]


def test_a_broken_first_copy_does_not_reject_its_good_second(shop, read_events):
    manifest, folder = shop([event("e9", user_id=None), *GOOD, event("e9")])
    assert manifest["rejected"] == {"events.parquet: null user_id": 1}
    assert "e9" in set(read_events(folder).event_id)


def test_of_repeated_ids_the_first_ingested_wins(shop, read_events):
    late, early = event("e9", user_id="late", ingest_time=T0 + 9), event("e9", user_id="early", ingest_time=T0 + 1)
    _, folder = shop([late, early, *[row | {"ingest_time": row["event_time"]} for row in GOOD]])
    assert read_events(folder).query("event_id == 'e9'").user_id.tolist() == ["early"]


def test_missing_columns_of_both_files_are_named_at_once(shop, layout):
    events = pd.DataFrame(GOOD).drop(columns=["user_id", "event_time"])
    items = pd.DataFrame(ITEMS).drop(columns=["item_id"])
    with pytest.raises(SchemaError) as fault:
        shop(events, items)
    for part in ("events: column 'user_id'", "events: column 'event_time'", "items: column 'item_id'", "--columns"):
        assert part in str(fault.value)
    assert not layout.dataset("shop").exists()


def test_a_mapped_column_that_is_absent_is_named(shop):
    with pytest.raises(SchemaError, match=r"'buyer' \(user_id\) is missing.*'maker' \(attributes.maker\) is missing"):
        shop(columns='[events]\nuser_id = "buyer"\n[items]\nattributes = ["maker"]\n')


def test_a_column_of_an_unusable_type_is_named(shop):
    with pytest.raises(SchemaError, match=r"'user_id' \(user_id\) is double, expected text or whole numbers"):
        shop(pd.DataFrame(GOOD).assign(user_id=1.5))


def test_fractions_of_seconds_need_their_unit(shop, read_events):
    events = pd.DataFrame(GOOD).assign(event_time=T0 / 1000 + 0.25)
    with pytest.raises(SchemaError, match="state time_unit"):
        shop(events)
    _, folder = shop(events, columns='[events]\ntime_unit = "s"\n')
    assert read_events(folder).event_time_ms.unique().tolist() == [T0 + 250]


@pytest.mark.parametrize(("time", "unit"), [
    (T0, ""), (T0 // 1000, "s"), (T0 * 1000, "us"), (str(T0), ""), (str(T0 // 1000), "s"), ("2026-11-20T00:00:00Z", ""),
    ("2026-11-20T02:00:00+02:00", "iso"), ("2026-11-20T00:00:00.000Z", ""), ("2026-11-20 00:00:00", ""),
    (pd.Timestamp("2026-11-20", tz="UTC"), ""), (pd.Timestamp("2026-11-20 01:00", tz="Europe/Paris"), ""),
    (pd.Timestamp("2026-11-20"), "")])
def test_a_time_is_read_in_every_stated_form(shop, read_events, time, unit):
    _, folder = shop([row | {"event_time": time} for row in GOOD], columns=f'[events]\ntime_unit = "{unit}"\n' if unit else "")
    assert set(read_events(folder).event_time_ms) == {T0}


def test_a_time_without_offset_is_taken_as_utc_and_counted(shop):
    manifest, _ = shop([row | {"event_time": "2026-11-20T00:00:00"} for row in GOOD])
    assert manifest["warnings"]["time without an offset taken as UTC"] == 3


def test_an_item_without_text_is_kept_with_a_warning(shop, capsys):
    manifest, folder = shop(items=[*ITEMS, {"item_id": "i3", "title": None, "published_at": T0}])
    assert manifest["items"] == 3
    assert [count for reason, count in manifest["warnings"].items() if "item without text" in reason] == [1]
    assert "i3" in capsys.readouterr().out
    assert pd.read_parquet(folder / "items.parquet").title.isna().sum() == 1


@pytest.mark.parametrize(("bad", "reason"), [
    ({"item_id": None, "title": "x"}, "null item_id"), ({"item_id": "i1", "title": "again"}, "repeated item_id"),
    ({"item_id": "i9", "attributes": "[1]"}, "attributes are not a JSON object"),
    ({"item_id": "i9", "vector": [1.0]}, "vector is not a list"),
    ({"item_id": "i9", "vector": [1.0, np.nan]}, "vector is not a list"),
])
def test_a_bad_item_is_rejected_with_its_reason(shop, bad, reason):
    items = [row | {"attributes": '{"brand": "A"}', "vector": [0.5, 1.0]} for row in ITEMS]
    manifest, _ = shop(items=[*items, {"published_at": T0} | bad])
    assert [reason in found for found in manifest["rejected"]] == [True]
    assert manifest["items"] == 2


def test_items_without_a_date_are_online_since_the_day_of_their_first_event(shop):
    manifest, folder = shop(items=[{"item_id": "i1", "title": "Oats"}, {"item_id": "i2", "title": "Milk"}])
    assert manifest["warnings"]["item without a date: online since its first event"] == 2
    assert pd.read_parquet(folder / "items.parquet").published_at_ms.tolist() == [T0, T0]


def test_an_item_that_only_events_know_is_kept_without_content(shop):
    manifest, folder = shop(items=ITEMS[:1])
    assert manifest["warnings"]["item only in the events: kept without content"] == 1
    row = pd.read_parquet(folder / "items.parquet").set_index("item_id").loc["i2"]
    assert (row.title, row.attributes, row.published_at_ms) == (None, None, T0)


def test_a_mapping_renames_types_columns_attributes_and_context(shop, read_events):
    events = [{"n": 1, "what": "view", "who": 7, "sku": "007", "t": "2026-11-20T00:00:00Z", "s": "r1", "device": "web"},
              {"n": 2, "what": "buy", "who": 7, "sku": "007", "t": "2026-11-20T00:00:09Z", "s": "r1", "device": None}]
    items = [{"sku": "007", "name": "Martini", "size": "1 l", "brand": "Q", "alc": 15, "born": "2026-01-01"}]
    manifest, folder = shop(events, items, columns="""
[events]
event_id = "n"
event_type = "what"
user_id = "who"
item_id = "sku"
event_time = "t"
request_id = "s"
context = ["device"]
[events.types]
view = "impression"
buy = "click"
[items]
item_id = "sku"
title = ["name", "size"]
attributes = ["brand", "alc"]
published_at = "born"
""", form="csv")
    found = read_events(folder)
    assert found.event_type.tolist() == ["impression", "click"]
    assert found.item_id.tolist() == ["007", "007"]
    assert found.context.tolist() == ['{"device": "web"}', None]
    assert found.request_id.tolist() == ["r1", "r1"]
    item = pd.read_parquet(folder / "items.parquet").iloc[0]
    assert item.title == "Martini | 1 l"
    assert item.attributes == '{"alc": "15", "brand": "Q"}'
    assert manifest["warnings"]["published_at without an offset taken as UTC"] == 1


def test_csv_and_parquet_give_the_same_events(shop, read_events):
    one = read_events(shop(form="csv")[1])
    two = read_events(shop(form="parquet")[1])
    assert one.equals(two)


def test_a_csv_line_with_too_few_fields_is_rejected_by_its_number(tmp_path, layout, clock, rejects):
    (tmp_path / "e.csv").write_text("event_id,event_type,user_id,item_id,event_time\n"
                                    f"1,impression,u,i,{T0}\n2,click,u\n3,click,u,i,{T0 + 9}\n4,click,,i,{T0}\n")
    (tmp_path / "i.csv").write_text("item_id,title\ni,Oats\n")
    folder, _ = own.prepare(layout, clock, name="shop", events=tmp_path / "e.csv", items=tmp_path / "i.csv")
    assert read_manifest(folder)["rows"] == {"impression": 1, "click": 1, "order": 0}
    assert rejects().set_index("row").reasons.to_dict() == {
        4: "null user_id", 2: "another number of fields than the header"}


def test_a_folder_of_files_is_one_log(tmp_path, layout, clock):
    (tmp_path / "log").mkdir()
    for number, row in enumerate(GOOD):
        pd.DataFrame([row]).to_parquet(tmp_path / "log" / f"{number}.parquet")
    pd.DataFrame(ITEMS).to_parquet(tmp_path / "i.parquet")
    folder, _ = own.prepare(layout, clock, name="shop", events=tmp_path / "log", items=tmp_path / "i.parquet")
    assert sum(read_manifest(folder)["rows"].values()) == 3


def test_a_file_that_is_no_parquet_says_so(tmp_path, layout, clock):
    (tmp_path / "e.parquet").write_bytes(b"PAR1 and then nothing")
    pd.DataFrame(ITEMS).to_parquet(tmp_path / "i.parquet")
    with pytest.raises(SchemaError, match=r"cannot read .*e\.parquet"):
        own.prepare(layout, clock, name="shop", events=tmp_path / "e.parquet", items=tmp_path / "i.parquet")
    with pytest.raises(SchemaError, match="found nothing"):
        own.prepare(layout, clock, name="shop", events=tmp_path / "absent.csv", items=tmp_path / "i.parquet")


def test_when_no_row_is_left_the_reasons_are_told_and_nothing_is_published(shop, layout, rejects):
    with pytest.raises(DataError, match=r"(?s)null user_id: 3 rows.*no event is left"):
        shop([row | {"user_id": None} for row in GOOD])
    assert len(rejects()) == 3
    assert not layout.dataset("shop").exists()


def test_a_log_without_impressions_is_refused_with_what_is_needed(shop):
    with pytest.raises(DataError, match=r"1 clicks and 0 orders but no impressions.*--negatives 4"):
        shop([GOOD[1]])


def clicks_of_two_days():
    return [event(f"c{n}", "click", user_id=f"u{n % 7}", item_id=f"i{n % 5}", event_time=T0 + n * 3_600_000) for n in range(40)]


def test_negatives_turn_clicks_into_shown_requests(shop, read_events):
    manifest, folder = shop(clicks_of_two_days(), negatives=2)
    events = read_events(folder)
    own_impressions = events[events.event_id.str.endswith("-i0")]
    assert len(own_impressions) == 40
    assert (events.ingest_time_ms.diff().dropna() >= 0).all()
    assert manifest["rows"]["impression"] == 40 + 80 - manifest["warnings"]["negative not drawn"]
    assert set(events[events.event_type == "click"].request_id) == {f"c{n}" for n in range(40)}
    assert "constructed" in manifest["provenance"]["about"]


def test_orders_alone_are_recorded_as_the_one_response_a_click(shop):
    manifest, _ = shop([row | {"event_type": "order"} for row in clicks_of_two_days()], negatives=1)
    assert manifest["labels"] == ["clicked"]
    assert manifest["rows"]["order"] == 0
    assert manifest["warnings"]["order recorded as the one response, a click"] == 40


def test_a_file_without_types_can_be_all_of_one(shop):
    rows = [{k: v for k, v in row.items() if k != "event_type"} for row in clicks_of_two_days()]
    manifest, _ = shop(rows, columns='[events]\nevery_row_is = "order"\n', negatives=1)
    assert manifest["rows"]["click"] == 40


def test_negatives_beside_logged_impressions_are_refused(shop):
    with pytest.raises(DataError, match="this one has impressions"):
        shop(negatives=4)


def test_impressions_alone_teach_nothing(shop):
    with pytest.raises(DataError, match="no click or order"):
        shop([GOOD[0]])


def test_clicks_and_orders_give_two_labels_and_odd_orders_a_warning(shop):
    orders = [event("o1", "order", event_time=T0 + 9_000), event("o2", "order", item_id="i2", event_time=T0 + 9_000),
              event("o3", "order", user_id="other", event_time=T0 + 9_000)]
    manifest, _ = shop([*GOOD, *orders])
    assert manifest["labels"] == ["clicked", "ordered"]
    assert manifest["warnings"]["order without a click of that user and item"] == 2
    assert manifest["warnings"]["click or order of an item never shown to that user"] == 1


def test_without_ids_rows_are_numbered_and_that_is_said(shop, read_events):
    manifest, folder = shop(pd.DataFrame(GOOD).drop(columns="event_id"))
    assert read_events(folder).event_id.tolist() == ["row-1", "row-3", "row-2"]
    assert any("repeats cannot be told" in reason for reason in manifest["warnings"])


def test_validate_tells_the_faults_and_writes_nothing(tmp_path, layout, clock, capsys):
    pd.DataFrame([*GOOD, event("x", "zap")]).to_parquet(tmp_path / "e.parquet")
    pd.DataFrame(ITEMS).to_parquet(tmp_path / "i.parquet")
    with pytest.raises(DataError, match="1 faults"):
        own.validate(clock, events=tmp_path / "e.parquet", items=tmp_path / "i.parquet")
    assert "unknown event_type" in capsys.readouterr().out
    pd.DataFrame(GOOD).to_parquet(tmp_path / "e.parquet")
    assert own.validate(clock, events=tmp_path / "e.parquet", items=tmp_path / "i.parquet") == 0
    assert not layout.home.exists()


def test_a_rerun_on_the_same_files_does_nothing_and_changed_files_prepare_again(shop, clock):
    _, folder = shop()
    first = folder.resolve()
    assert shop()[1].resolve() == first
    assert shop([*GOOD, event("e4")])[1].resolve() != first


def test_a_later_clock_accepts_what_was_future(shop, clock):
    soon = event("x", event_time=clock.now_ms() + 3_600_000)
    assert sum(shop([*GOOD, soon])[0]["rejected"].values()) == 1
    clock.advance(timedelta(days=1))
    assert shop([*GOOD, soon])[0]["rejected"] == {}


def test_every_fault_of_a_mapping_is_listed(shop):
    with pytest.raises(ConfigError) as fault:
        shop(columns='[events]\nuser = "u"\nitem_id = 5\n[item]\n')
    for part in ("unknown section [item]", "[events] user is unknown", "[events] item_id has the wrong type"):
        assert part in str(fault.value)
    with pytest.raises(ConfigError, match=r"time_unit must be one of.*'zap'.*expected one of impression"):
        shop(columns='[events]\ntime_unit = "h"\n[events.types]\nview = "zap"\n')


def test_the_mapping_of_the_readme_is_valid(tmp_path):
    readme = (Path(__file__).resolve().parents[3] / "infra" / "datasets" / "README.md").read_text()
    file = tmp_path / "columns.toml"
    file.write_text(readme.split("```toml\n")[1].split("```")[0])
    mapping = read_mapping(file)
    assert mapping.events.types == {"view": "impression", "purchase": "order"}
    assert mapping.items.attributes == ("brand", "category", "colour")
