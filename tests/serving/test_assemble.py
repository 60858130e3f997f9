"""Ids → online rows → tensors, with every default named."""

from datetime import UTC, datetime

import numpy as np
import pytest

from features.clock import to_ms
from features.errors import EnvironmentFault
from features.spec import RANKING_INPUTS

pytestmark = pytest.mark.tf  # signature.py imports TensorFlow

NOW_MS = to_ms(datetime(2026, 1, 1, tzinfo=UTC))  # a Thursday, midnight
DAY_MS = 86_400_000
CODEBOOK = "cb-2026-01-01"


@pytest.fixture
def model():
    """Knows i0…i37 (rows 2…39) and u0…u9 (rows 2…11)."""
    from serving.entity_index import EntityIndex
    from serving.served_model import ServedModel

    return ServedModel(2026010101, "tiny", CODEBOOK, EntityIndex([f"i{n}" for n in range(38)], np.arange(2, 40)),
                       EntityIndex([f"u{n}" for n in range(10)], np.arange(2, 12)))


@pytest.fixture
def assembled(store, model):
    """assembled(user, candidates, at_ms, model) -> what the model gets."""
    from serving.assemble import assemble, read_rows

    def make(user="u0", candidates=("i1", "i2", "i9"), at_ms=NOW_MS, model=model):
        return assemble(model, read_rows(store, user, list(candidates), at_ms))

    return make


def test_every_input_has_the_contracts_type_and_shape(assembled):
    inputs = assembled().inputs
    assert {name: (values.dtype.name, values.shape) for name, values in inputs.items()} == {
        spec.name: (spec.dtype, (1 if spec.side == "user" else 3, *spec.shape)) for spec in RANKING_INPUTS}


def test_known_user_and_items_get_their_rows_counts_and_codes(assembled):
    got = assembled()
    assert got.inputs["user_row"].tolist() == [2]
    assert got.inputs["item_row"].tolist() == [3, 4, 11]
    assert got.inputs["item_codes"].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5], [9, 10, 11, 12]]
    assert got.inputs["item_stats"].tolist() == [[1, 10, 1], [2, 20, 2], [9, 90, 9]]
    assert got.user_defaults == ()
    assert not any(mask.any() for mask in got.item_defaults.values())


def test_history_is_the_distinct_items_newest_first_with_their_codes(assembled):
    inputs = assembled().inputs
    assert inputs["history_rows"][0, :4].tolist() == [3, 4, 0, 0]
    assert inputs["history_codes"][0, :3].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5], [-1] * 4]


def test_repeat_features_count_takes_and_the_days_since_the_last(assembled):
    inputs = assembled().inputs
    assert inputs["repeat_count"].tolist() == [2, 1, 0]
    assert inputs["repeat_age_days"].tolist() == [1, 2, -1]


def test_takes_at_or_after_the_request_do_not_exist_yet(assembled):
    inputs = assembled(at_ms=NOW_MS - DAY_MS).inputs
    assert inputs["history_rows"][0, :3].tolist() == [4, 3, 0]
    assert inputs["repeat_count"].tolist() == [1, 1, 0]


def test_clock_inputs_are_utc_hour_and_weekday(assembled):
    inputs = assembled(at_ms=NOW_MS + 15 * 3_600_000 + 59 * 60_000).inputs
    assert (inputs["hour_of_day"].tolist(), inputs["day_of_week"].tolist()) == ([15], [3])


def test_one_read_serves_candidates_and_history(store, assembled):
    assembled(candidates=["i9", "i1"])
    assert store.reads == [["i9", "i1", "i2"]]


def test_unknown_item_gets_every_stated_default(assembled):
    got = assembled(candidates=["i1", "nobody"])
    for spec in RANKING_INPUTS:
        if spec.side == "item":
            assert (got.inputs[spec.name][1] == spec.default).all(), spec.name
    taken = {name for name, mask in got.item_defaults.items() if mask[1]}
    assert taken == {"item_row:unknown", "item_codes:missing", "item_stats:no_maturity", "item_stats:no_published_at"}
    assert not any(mask[0] for mask in got.item_defaults.values())


def test_unknown_user_has_an_empty_history(assembled):
    got = assembled(user="nobody")
    assert got.user_defaults == ("user_row:unknown", "history_rows:empty")
    assert got.inputs["user_row"].tolist() == [1]
    assert (got.inputs["history_rows"] == 0).all()
    assert (got.inputs["history_codes"] == -1).all()


def test_item_born_after_training_keeps_its_sid_under_the_shared_row(store, assembled):
    store.items["new"] = store.items["i5"] | {"exposure_7d": 0, "click_7d": 0, "maturity_tick_ms": -1}
    got = assembled(candidates=["new"])
    assert got.inputs["item_row"].tolist() == [1]
    assert got.inputs["item_codes"].tolist() == [[5, 6, 7, 8]]
    assert got.inputs["item_stats"].tolist() == [[5, 0, 0]]


def test_sid_of_another_codebook_counts_as_missing(store, assembled):
    store.items["i1"]["codebook_version"] = "cb-2025-12-01"
    got = assembled()
    assert got.inputs["item_codes"].tolist() == [[-1] * 4, [2, 3, 4, 5], [9, 10, 11, 12]]
    assert got.inputs["history_codes"][0, 0].tolist() == [-1] * 4
    assert got.item_defaults["item_codes:other_codebook"].tolist() == [True, False, False]
    assert not got.item_defaults["item_codes:missing"].any()


def test_the_sid_of_the_models_codebook_is_found_where_the_store_has_two(store, assembled):
    """A newer codebook is on its way into the store: the model goes on with its own."""
    store.items["i1"] |= {"other_codes": store.items["i1"]["codes"], "other_codebook": store.items["i1"]["codebook_version"],
                          "codes": [7, 7, 7, 7], "codebook_version": "cb-newer"}
    store.items["i2"] |= {"other_codes": [7, 7, 7, 7], "other_codebook": "cb-older"}
    got = assembled()
    assert got.inputs["item_codes"].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5], [9, 10, 11, 12]]
    assert got.inputs["history_codes"][0, :2].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5]]
    assert not got.item_defaults["item_codes:other_codebook"].any()
    assert not got.item_defaults["item_codes:missing"].any()


def test_model_without_sids_gets_none_and_counts_none(assembled, model):
    from dataclasses import replace

    got = assembled(model=replace(model, codebook_version=None))
    assert (got.inputs["item_codes"] == -1).all()
    assert "item_codes:other_codebook" not in got.item_defaults


def test_counts_older_than_the_window_are_stale_and_become_the_default(store, assembled):
    hour = 3_600_000
    store.items["i1"]["maturity_tick_ms"] = NOW_MS - 169 * hour - 1
    store.items["i2"]["maturity_tick_ms"] = NOW_MS - 169 * hour
    got = assembled()
    assert got.inputs["item_stats"].tolist() == [[1, 0, 0], [2, 20, 2], [9, 90, 9]]
    assert got.item_defaults["item_stats:stale_maturity"].tolist() == [True, False, False]


def test_value_that_could_not_be_read_is_named(store, assembled):
    store.items["i2"] |= {"unreadable": True, "published_at_ms": -1}
    got = assembled()
    assert got.item_defaults["stored_value:unreadable"].tolist() == [False, True, False]
    assert got.inputs["item_stats"][1].tolist() == [0, 20, 2]


def test_counts_of_zero_never_get_stale(store, assembled):
    store.items["i1"] |= {"maturity_tick_ms": NOW_MS - 90 * DAY_MS, "exposure_7d": 0, "click_7d": 0}
    assert not assembled().item_defaults["item_stats:stale_maturity"].any()


def test_item_that_is_published_later_is_not_online_yet(store, assembled):
    store.items["i1"]["published_at_ms"] = NOW_MS + 1
    got = assembled()
    assert got.inputs["item_stats"][0, 0] == -1
    assert not got.item_defaults["item_stats:no_published_at"].any()


def test_store_that_does_not_answer_leaves_every_default(store, model, monkeypatch):
    from serving.assemble import assemble, read_rows

    def down(*_):
        raise EnvironmentFault("the online store at 127.0.0.1:1 does not answer")

    monkeypatch.setattr(store, "read_items", down)
    rows = read_rows(store, "u0", ["i1", "i2"], NOW_MS)
    assert "does not answer" in rows.store_fault
    got = assemble(model, rows)
    assert got.inputs["item_row"].tolist() == [3, 4]  # the model's own index still knows them
    assert (got.inputs["item_stats"] == 0).all()
    assert got.item_defaults["item_codes:missing"].all()
    assert got.user_defaults == ("history_rows:empty",)
