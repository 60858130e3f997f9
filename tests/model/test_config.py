"""Configurations refuse nonsense, all of it at once, and survive a manifest."""

import json

import pytest

from features.errors import ConfigError
from model.config import PRESETS, RANKERS, RankerConfig, TrainConfig, preset


@pytest.mark.parametrize("ranker", RANKERS)
@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_manifest(ranker, name):
    network, training = preset(ranker, name)
    assert RankerConfig.from_json(json.loads(json.dumps(network.to_json()))) == network
    assert json.loads(json.dumps(training.to_json())) == training.to_json()


def test_paper_keeps_the_printed_numbers():
    network, training = preset("gatesid", "paper")
    assert (network.levels, network.codes, network.sid_width, len(network.hidden)) == (4, 256, 32, 3)
    assert (network.align_loss_weight, training.batch_size) == (0.1, 4096)


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
