"""Configurations refuse nonsense, all of it at once, and survive a manifest."""

import json

import pytest

from features.errors import ConfigError
from model.config import ALL_RANKERS, PRESETS, ContentConfig, RankerConfig, SmileConfig, TrainConfig, preset


@pytest.mark.parametrize("ranker", ALL_RANKERS)
@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_manifest(ranker, name):
    network, training = preset(ranker, name)
    assert RankerConfig.from_json(json.loads(json.dumps(network.to_json()))) == network
    assert json.loads(json.dumps(training.to_json())) == training.to_json()


def test_paper_keeps_the_printed_numbers():
    network, training = preset("gatesid", "paper")
    assert (network.levels, network.codes, network.sid_width, len(network.hidden)) == (4, 256, 32, 3)
    assert (network.align_loss_weight, training.batch_size) == (0.1, 4096)


def test_paper_keeps_the_printed_numbers_of_saviorrec_and_smile():
    saviorrec, smile = preset("saviorrec", "paper")[0], preset("smile", "paper")[0]
    assert (saviorrec.heads, saviorrec.mba_width, len(saviorrec.hidden)) == (8, 64, 3)
    assert (smile.rq_levels, smile.opq_weight, smile.transfer_loss_weight, smile.opq_loss_weight) == (3, 0.5, 0.01, 0.05)
    assert smile.temperature == saviorrec.temperature == 0.1


def test_settings_of_one_paper_are_not_those_of_another():
    assert "mba_width" not in preset("gatesid", "practical")[0].to_json()
    assert "mba_width" not in preset("smile", "practical")[0].to_json()
    with pytest.raises(ConfigError, match="unknown ranker setting heads"):
        RankerConfig.from_json(preset("saviorrec", "paper")[0].to_json() | {"ranker": "base"})


def test_every_fault_of_a_papers_own_settings_is_listed():
    with pytest.raises(ConfigError) as caught:
        ContentConfig(ranker="saviorrec", item_width=80, content_width=64, heads=7, temperature=0)
    for part in ("multiple of the 7 heads, got 64", "not be below item_width, got 64 and 80", "temperature"):
        assert part in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        SmileConfig(ranker="smile", rq_levels=5, item_width=33, opq_weight=2, rq_width=0)
    for part in ("exceed the 4 levels", "item_width must be even", "opq_weight must be in", "rq_width must be positive"):
        assert part in str(caught.value)


def test_every_fault_is_listed():
    with pytest.raises(ConfigError) as caught:
        RankerConfig(ranker="best", item_width=0, sid_width=30, align_loss_weight=2, temperature=0)
    for part in ("ranker must be one of", "item_width", "sid_width", "align_loss_weight", "temperature"):
        assert part in str(caught.value)


def test_alignment_needs_equal_widths():
    with pytest.raises(ConfigError, match="item_width = sid_width, got 64 and 32"):
        RankerConfig(ranker="gatesid", item_width=64)
    assert RankerConfig(ranker="gatesid", item_width=64, align_loss_weight=0).item_width == 64


@pytest.mark.parametrize("labels", [(), ("ordered",), ("clicked", "liked")])
def test_labels_other_than_the_two_tasks_are_refused(labels):
    with pytest.raises(ConfigError, match="labels must be"):
        TrainConfig(labels=labels)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ConfigError, match="one of paper, practical"):
        preset("base", "best")
