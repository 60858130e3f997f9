"""SaviorRec's assembly: what is frozen, what learns, what its ablations leave out."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

ITEMS, USERS, ROWS = 30, 9, 64


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(2).normal(size=[ITEMS - 2, 64]).astype("f") + 1


def learner(name, vectors, preset_name="practical"):
    from model.checkpoints import fresh_ranker
    from model.config import TrainConfig, preset
    from model.content_vectors import content_tables
    from model.learner import Learner
    from model.rankers.trunk import TableSizes

    ranker = fresh_ranker(preset(name, preset_name)[0], TableSizes(ITEMS, USERS), seed=1)
    for table in content_tables(ranker):
        table.take(np.arange(2, ITEMS), vectors)
    training = TrainConfig(batch_size=16)
    return Learner(ranker, ranker.optimiser(training), training)


@pytest.mark.parametrize("name", ["saviorrec", "saviorrec_without_content", "frozen_content"])
def test_training_lowers_the_loss_and_leaves_content_as_it_is(name, vectors, tiny_day):
    from model.content_vectors import content_tables

    day, codes = tiny_day(ROWS, ITEMS, USERS)
    made = learner(name, vectors)
    before = [table.table.numpy() for table in content_tables(made.ranker)]
    losses = [made.learn(day, codes, seed) for seed in range(8)]
    assert losses[-1] < losses[0]
    for table, old in zip(content_tables(made.ranker), before, strict=True):
        np.testing.assert_array_equal(table.table, old)


def test_alignment_starts_at_nothing_and_is_learnt(vectors, tiny_day):
    day, codes = tiny_day(ROWS, ITEMS, USERS)
    made = learner("saviorrec", vectors)
    mba = made.ranker.mba
    assert not any(np.any(table) for table in mba.codebooks.tables)
    made.learn(day, codes, 1)
    assert all(np.any(table) for table in mba.codebooks.tables)


def test_the_paper_preset_has_the_printed_sizes(vectors):
    made = learner("saviorrec", vectors, "paper")
    assert (made.ranker.attention.heads, made.ranker.mba.width, len(made.ranker.mlp.hidden)) == (8, 64, 3)
    assert made.ranker.mlp.activation == "leaky_relu"


def test_ablations_have_only_the_weights_they_use(vectors):
    def names(name):
        return {variable.name.split("/", 1)[1] for variable in learner(name, vectors).ranker.trainable_variables}

    def layers(names):
        return {name.split("/")[-2] for name in names}

    whole = names("saviorrec")
    assert {name.split("/")[0] for name in whole - names("saviorrec_without_mba")} == {"mba"}
    assert layers(whole) - layers(names("saviorrec_without_bidirectional")) == {"b2m", "m2b"}
    assert whole == names("saviorrec_without_content")
