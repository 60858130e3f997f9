import json

import numpy as np
import pandas as pd
import pytest

from features.artefacts import read_manifest
from features.clock import MS_PER_DAY
from features.errors import ConfigError
from infra.datasets import simulator
from infra.datasets.simulator import WorldConfig, event_chunks, make_world

SMALL = WorldConfig(users=300, items=120, days=6, events=60_000, seed=7, clusters=6, vector_width=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from datetime import UTC, datetime

    from features.clock import FixedClock
    from features.layout import Layout
    folder, _ = simulator.prepare(Layout(tmp_path_factory.mktemp("world")), FixedClock(datetime(2026, 11, 22, tzinfo=UTC)),
                                  name="simulator", world=SMALL)
    events = pd.concat([pd.read_parquet(file) for file in sorted((folder / "events").glob("*.parquet"))], ignore_index=True)
    return folder, events, pd.read_parquet(folder / "truth_items.parquet").set_index("item_id")


def test_there_are_about_as_many_events_as_asked_ending_yesterday(made):
    folder, events, _ = made
    manifest = read_manifest(folder)
    assert len(events) == pytest.approx(60_000, rel=0.1)
    assert (manifest["last_day"], manifest["days"], manifest["labels"]) == ("2026-11-21", 6, ["clicked", "ordered"])
    assert all(count > 500 for count in manifest["rows"].values())


def test_better_items_have_the_higher_click_rate(made):
    _, events, truth = made
    shown = events[events.event_type == "impression"].item_id.value_counts()
    clicks = events[events.event_type == "click"].item_id.value_counts()
    rate = (clicks.reindex(shown.index).fillna(0) / shown)[shown > 200]
    quality = truth.quality[rate.index]
    thirds = rate.groupby(pd.qcut(quality, 3, labels=False)).mean()
    assert thirds[0] < thirds[1] < thirds[2]
    assert np.corrcoef(quality, rate)[0, 1] > 0.7


def test_the_click_rate_is_the_one_the_truth_gives(made):
    _, events, _ = made
    world = make_world(SMALL, pd.Timestamp("2026-11-21").date())
    shown = events[events.event_type == "impression"]
    chance = world.click_chance(shown.user_id.str[1:].astype(int).to_numpy(), shown.item_id.str[1:].astype(int).to_numpy())
    assert (events.event_type == "click").sum() / len(shown) == pytest.approx(chance.mean(), rel=0.03)


def test_content_tells_the_cluster_and_the_cluster_half_of_the_quality(made):
    folder, _, truth = made
    items = pd.read_parquet(folder / "items.parquet").set_index("item_id")
    category = items.attributes.map(lambda text: json.loads(text)["category"])
    assert truth.cluster.groupby(category[truth.index]).nunique().max() == 1
    assert (items.title.str.split().str[1:-1].str.join(" ") == category).all()
    explained = truth.groupby("cluster").quality.transform("mean").var() / truth.quality.var()
    assert 0.15 < explained < 0.9
    vectors = np.stack(items.vector[truth.index])
    assert vectors.shape == (120, 8)


def test_a_taste_is_told_by_clicks_and_by_nothing_else(made):
    plain = make_world(SMALL, pd.Timestamp("2026-11-21").date())
    world = make_world(WorldConfig(**{**SMALL.__dict__, "tastes": 3, "taste_pull": 2.0}), pd.Timestamp("2026-11-21").date())
    for name in ("cluster", "quality", "popularity", "born_ms", "affinity", "vectors", "words"):
        np.testing.assert_array_equal(getattr(world, name), getattr(plain, name))
    user, item = np.repeat(np.arange(300), 120), np.tile(np.arange(120), 300)
    drawn = np.log(world.click_chance(user, item) / (1 - world.click_chance(user, item)))
    drawn -= np.log(plain.click_chance(user, item) / (1 - plain.click_chance(user, item)))
    np.testing.assert_allclose(drawn, world.taste_affinity[user, world.taste[item]], atol=1e-9)
    assert drawn.std() == pytest.approx(2, rel=0.1)


def test_truth_holds_tastes_where_a_world_has_them(made, layout, clock):
    folder, _, truth = made
    assert "taste" not in truth
    assert "taste_affinity" not in pd.read_parquet(folder / "truth_users.parquet")
    tasty, _ = simulator.prepare(layout, clock, name="tasty", world=WorldConfig(**{**SMALL.__dict__, "tastes": 3}))
    assert set(pd.read_parquet(tasty / "truth_items.parquet").taste) == {0, 1, 2}
    assert np.stack(pd.read_parquet(tasty / "truth_users.parquet").taste_affinity).shape == (300, 3)


def test_exposure_is_biased_to_good_and_old_items(made):
    _, events, truth = made
    shown = events[events.event_type == "impression"].item_id.value_counts().reindex(truth.index).fillna(0)
    assert np.corrcoef(truth.quality, np.log1p(shown))[0, 1] > 0.2
    first = events.ingest_time_ms.min()
    assert shown[truth.born_ms > first].mean() < 0.6 * shown[truth.born_ms <= first].mean()


def test_no_item_is_shown_before_its_birth_and_some_are_born_during_the_days(made):
    folder, events, truth = made
    born = events.item_id.map(truth.born_ms)
    assert (events.event_time_ms >= born).all()
    assert (truth.born_ms > events.ingest_time_ms.min()).mean() == pytest.approx(0.3, abs=0.12)
    published = pd.read_parquet(folder / "items.parquet").set_index("item_id").published_at_ms
    assert (published[truth.index] == truth.born_ms).all()


def test_a_click_follows_its_impression_and_an_order_its_click_on_the_same_day(made):
    _, events, _ = made
    place = events.event_id.str.rsplit("-", n=1)
    events = events.assign(slot=events.request_id + "-" + place.str[1], day=events.event_time_ms // MS_PER_DAY)
    times = events.pivot(index="slot", columns="event_type", values="event_time_ms")
    assert times.impression.notna().all()
    assert (times.click.dropna() >= times.impression[times.click.notna()]).all()
    assert (times.order.dropna() >= times.click[times.order.notna()]).all()
    assert events.groupby("slot").day.nunique().max() == 1


def test_files_are_in_ingest_order_with_distinct_ids(made):
    _, events, _ = made
    assert (events.ingest_time_ms.diff().dropna() >= 0).all()
    assert events.event_id.is_unique


def test_equal_seeds_give_equal_files_and_other_seeds_do_not(made, layout, clock):
    folder, _, _ = made
    again, _ = simulator.prepare(layout, clock, name="again", world=SMALL)
    assert read_manifest(again)["files"] == read_manifest(folder)["files"]
    other, _ = simulator.prepare(layout, clock, name="other", world=WorldConfig(**{**SMALL.__dict__, "seed": 8}))
    assert read_manifest(other)["files"]["items.parquet"] != read_manifest(folder)["files"]["items.parquet"]


def test_chunks_stay_small_whatever_the_size():
    config = WorldConfig(users=100, items=50, days=1, events=50_000, chunk_requests=100)
    sizes = [table.num_rows for table in event_chunks(make_world(config, pd.Timestamp("2026-11-21").date()))]
    assert max(sizes) < 100 * 5 * 3
    assert sum(sizes) == pytest.approx(50_000, rel=0.1)


def test_a_senseless_world_is_refused_with_every_fault():
    with pytest.raises(ConfigError, match=r"users must be at least 1, got 0; items must be at least 2, got 1"):
        WorldConfig(users=0, items=1)
