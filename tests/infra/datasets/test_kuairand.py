import json
import os
from pathlib import Path

import pandas as pd
import pytest

from features.artefacts import read_manifest
from features.errors import SchemaError
from infra.datasets import kuairand

REAL = os.environ.get("GATESID_KUAIRAND", "")
START = 1_650_844_800  # 2022-04-25 00:00 UTC


@pytest.fixture
def piece(tmp_path):
    """Nine days; user 1 clicks and watches long, user 2 watches long without a click, user 3 does nothing."""
    rows = [{"user_id": str(user), "item_id": str(user), "ts": START + 86_400 * day + user, "tab": 1,
             "is_click": int(user == 1),
             "long_view": int(user in (1, 2)), "is_like": 0, "play_time_ms": 1, "duration_ms": 1}
            for day in range(9) for user in (1, 2, 3)]
    folder = tmp_path / "kuairand"
    folder.mkdir()
    pd.DataFrame(rows).to_parquet(folder / "impressions.parquet")
    pd.DataFrame([{"item_id": str(item), "tag_ids": "12,62" if item == 1 else None, "publish_ts": START - 86_400,
                   "author_id": "77",
                   "video_type": "NORMAL", "upload_type": "Web", "video_duration_ms": 45_000.0 if item < 3 else None,
                   "music_id": "5",
                   "music_type": 9.0 if item < 3 else None} for item in (1, 2, 3)]).to_parquet(folder / "items.parquet")
    pd.DataFrame([{"user_id": "1", "last_time_ms": (START - 50) * 1000, "prior_watches": ["3", "2"], "prior_long_watches": []}]
                 ).to_parquet(folder / "prior_watches.parquet")
    return folder


@pytest.fixture
def release(tmp_path, piece):
    """The same in the release's own files."""
    folder = tmp_path / "KuaiRand-Pure" / "data"
    folder.mkdir(parents=True)
    log, items = pd.read_parquet(piece / "impressions.parquet"), pd.read_parquet(piece / "items.parquet")
    log = log.assign(time_ms=log.ts * 1000, video_id=log.item_id, date=20220425, hourmin=0, is_rand=0)
    log.iloc[:9].to_csv(folder / "log_standard_4_08_to_4_21_pure.csv", index=False)
    log.iloc[9:].to_csv(folder / "log_standard_4_22_to_5_08_pure.csv", index=False)
    log.to_csv(folder / "log_random_4_22_to_5_08_pure.csv", index=False)
    items.rename(columns={"item_id": "video_id", "tag_ids": "tag", "video_duration_ms": "video_duration"}).assign(
        upload_dt="2022-04-24").to_csv(folder / "video_features_basic_pure.csv", index=False)
    return folder.parent


def test_click_and_long_view_become_click_and_order_of_one_request(piece, layout, clock, read_events):
    folder, _ = kuairand.prepare(layout, clock, path=piece)
    events, manifest = read_events(folder), read_manifest(folder)
    assert manifest["labels"] == ["clicked", "ordered"]
    of_one = events[events.user_id == "1"]
    assert of_one.groupby("request_id").event_type.agg(list).map(sorted).map(tuple).unique().tolist() == [
        ("click", "impression", "order")]
    assert (of_one.groupby("request_id").event_time_ms.agg(lambda times: times.max() - times.min()) == 2_000).all()
    assert set(events[events.user_id == "3"].event_type) == {"impression"}


def test_a_long_view_without_a_click_is_no_order_and_is_counted(piece, layout, clock, read_events):
    folder, _ = kuairand.prepare(layout, clock, path=piece, keep_dates=True)
    events, manifest = read_events(folder), read_manifest(folder)
    assert set(events[events.user_id == "2"].event_type) == {"impression"}
    assert manifest["rejected"]["long view without a click: the order is left out, the impression kept"] == 9


def test_the_last_whole_day_is_shifted_by_weeks_to_yesterday_and_the_rest_cut(piece, layout, clock):
    folder, _ = kuairand.prepare(layout, clock, path=piece)
    manifest = read_manifest(folder)
    assert manifest["last_day"] == "2026-11-21"
    # 2022-04-25 is a Monday, the last whole day 2022-05-02 too; yesterday is a Saturday, so Sunday and Monday are cut.
    assert manifest["rejected"]["after the last day"] == 9
    assert manifest["first_day"] == "2026-11-16"


def test_keeping_the_dates_loses_nothing(piece, layout, clock):
    folder, _ = kuairand.prepare(layout, clock, path=piece, keep_dates=True)
    manifest = read_manifest(folder)
    assert (manifest["first_day"], manifest["last_day"], manifest["shift_weeks"]) == ("2022-04-25", "2022-05-03", 0)
    assert manifest["rows"]["impression"] == 27


def test_the_release_gives_the_same_events_as_the_slice(piece, release, layout, clock, read_events):
    ours = read_events(kuairand.prepare(layout, clock, path=piece)[0])
    for path in (release, release / "data"):
        assert read_events(kuairand.prepare(layout, clock, path=path)[0]).equals(ours)


def test_items_have_no_text_and_attributes_of_what_is_known(piece, layout, clock):
    folder, _ = kuairand.prepare(layout, clock, path=piece)
    items = pd.read_parquet(folder / "items.parquet").set_index("item_id")
    assert items.title.isna().all()
    assert json.loads(items.attributes["1"]) == {
        "author_id": "77", "length": "under 60 s", "music_id": "5", "music_type": "9", "tag": "12", "tags": "12,62",
        "upload_type": "Web", "video_type": "NORMAL"}
    assert set(json.loads(items.attributes["3"])) == {"author_id", "music_id", "upload_type", "video_type"}


def test_an_upload_day_of_the_release_is_a_day_in_china(release, layout, clock):
    folder, _ = kuairand.prepare(layout, clock, path=release, keep_dates=True)
    published = pd.read_parquet(folder / "items.parquet").published_at_ms.unique()
    assert pd.to_datetime(published, unit="ms").tolist() == [pd.Timestamp("2022-04-23 16:00")]


def test_prior_watches_are_earlier_clicks_in_their_order(piece, layout, clock, read_events):
    folder, _ = kuairand.prepare(layout, clock, path=piece, prior_watches=True, keep_dates=True)
    prior = read_events(folder).query("context == '{\"prior\": \"true\"}'")
    assert prior.item_id.tolist() == ["3", "2"]
    assert prior.event_time_ms.tolist() == [(START - 51) * 1000, (START - 50) * 1000]
    assert set(prior.event_type) == {"click"}


def test_a_folder_without_the_files_says_what_is_expected(tmp_path, layout, clock):
    with pytest.raises(SchemaError, match="log_standard"):
        kuairand.prepare(layout, clock, path=tmp_path)


def test_a_log_without_a_column_is_refused(piece, layout, clock):
    log = pd.read_parquet(piece / "impressions.parquet").drop(columns=["long_view"])
    log.to_parquet(piece / "impressions.parquet")
    with pytest.raises(SchemaError, match="long_view"):
        kuairand.prepare(layout, clock, path=piece)


@pytest.mark.skipif(not Path(REAL, "impressions.parquet").is_file() or not REAL,
                    reason="needs KuaiRand's slice, which is absent: set GATESID_KUAIRAND to its folder")
def test_the_real_slice_keeps_every_impression_and_its_click_rate(layout, clock, read_events):
    folder, _ = kuairand.prepare(layout, clock, path=Path(REAL), keep_dates=True)
    rows = read_manifest(folder)["rows"]
    assert rows["impression"] == 222_444
    assert rows["click"] / rows["impression"] == pytest.approx(0.450, abs=0.001)
    assert rows["order"] == 70_233
    assert (read_events(folder).ingest_time_ms.diff().dropna() >= 0).all()
