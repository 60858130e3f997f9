"""SMILE's assembly: OPQ codes as further inputs, the gate's limits, its two auxiliary losses."""

import numpy as np
import pytest

from features.errors import ConfigError

pytestmark = pytest.mark.tf

ITEMS, USERS, ROWS = 30, 9, 64


def learner(name, **changes):
    from dataclasses import replace

    from model.checkpoints import fresh_ranker
    from model.config import TrainConfig, preset
    from model.learner import Learner
    from model.rankers.trunk import TableSizes

    ranker = fresh_ranker(replace(preset(name, "practical")[0], **changes), TableSizes(ITEMS, USERS), seed=1)
    training = TrainConfig(batch_size=16)
    return Learner(ranker, ranker.optimiser(training), training)


@pytest.fixture
def with_opq(tiny_day):
    """A day, and RQ codes followed by OPQ codes; one item has neither."""
    day, codes = tiny_day(ROWS, ITEMS, USERS)
    opq = np.random.default_rng(5).integers(0, 32, [ITEMS, 2]).astype(np.int32)
    opq[[0, 7]] = -1
    return day, np.concatenate([codes, opq], axis=1)


def test_training_lowers_the_loss_and_moves_every_table(with_opq):
    day, codes = with_opq
    made = learner("smile", opq_codes=32)
    made.ranker.take_codebooks(np.random.default_rng(1).normal(size=[2, 32, 3]).astype("f"))
    before = {table.name: table.numpy() for table in made.ranker.tables()}
    losses = [made.learn(day, codes, seed) for seed in range(8)]
    assert losses[-1] < losses[0]
    assert {table.name for table in made.ranker.tables() if np.array_equal(table, before[table.name])} == set()
    assert {name.split("/")[1] for name in before} == {"items", "users", "rq", "opq"}


def test_without_opq_it_learns_from_the_codes_there_are(tiny_day):
    day, codes = tiny_day(ROWS, ITEMS, USERS)
    made = learner("smile_without_opq")
    assert set(made.predict(day, codes)) == {"ctr", "ctcvr", "semantic_weight"}
    losses = [made.learn(day, codes, seed) for seed in range(8)]
    assert losses[-1] < losses[0]


def test_auxiliary_loss_is_transfer_and_contrast_as_weighted(with_opq):
    import tensorflow as tf

    from model.dataset import batches
    from model.losses.opq_contrast import opq_contrast
    from model.losses.transfer import transfer_loss

    day, codes = with_opq
    ranker = learner("smile", opq_codes=32).ranker
    ranker.take_codebooks(np.random.default_rng(1).normal(size=[2, 32, 3]).astype("f"))
    ranker.items.table.assign(np.random.default_rng(3).normal(size=ranker.items.table.shape))
    given = next(batches(day, codes, ROWS))[0]
    view = ranker.look_up({name: tf.constant(values) for name, values in given.items()})
    interest = ranker.interest(view)
    transfer = transfer_loss(view.item_emb, interest.sid_emb, interest.semantic_weight).loss
    contrast = opq_contrast(interest.opq_emb, given["item_opq_codes"], given["item_row"], ranker.neighbours).loss
    assert min(transfer, contrast) > 0
    np.testing.assert_allclose(ranker.auxiliary_loss(view, interest), 0.01 * transfer + 0.05 * contrast, rtol=1e-5)


@pytest.mark.parametrize(("weight", "seen"), [(1.0, {"codes"}), (0.0, {"row"})])
def test_an_open_gate_sees_content_alone_and_a_shut_one_the_id(weight, seen, with_opq):
    import tensorflow as tf

    from model.dataset import batches

    day, codes = with_opq
    ranker = learner("smile_without_opq").ranker
    ranker.items.table.assign(np.random.default_rng(3).normal(size=ranker.items.table.shape))
    ranker.weigh = lambda view: tf.fill([ROWS, 1], weight)
    features = {name: tf.constant(values) for name, values in next(batches(day, codes, ROWS))[0].items()}
    empty = {"history_rows": tf.zeros_like(features["history_rows"])}  # the candidate alone

    def item_vector(**changes):
        return ranker.interest(ranker.look_up(features | empty | changes)).vectors[0].numpy()

    other = {"codes": {"item_codes": (features["item_codes"] + 1) % 256},
             "row": {"item_row": 2 + (features["item_row"] - 1) % (ITEMS - 2)}}
    assert {kind for kind, change in other.items() if not np.allclose(item_vector(), item_vector(**change))} == seen


def test_a_caller_without_opq_codes_is_told_what_to_do(tiny_day):
    from model.dataset import batches

    day, codes = tiny_day(ROWS, ITEMS, USERS)
    with pytest.raises(ConfigError, match="needs the inputs item_opq_codes, history_opq_codes.*or use smile_without_opq"):
        learner("smile").ranker.score(next(batches(day, codes, ROWS))[0])


def test_a_codebook_without_opq_codes_is_refused():
    from model.rankers.assemblies import refuse_missing_codes

    with pytest.raises(ConfigError, match="smile needs 6 codes an item, 4 of RQ and 2 of OPQ; codebook cb-1 has 4: give"):
        refuse_missing_codes("smile", 4, "cb-1")
    for ranker, columns in (("smile", 6), ("smile_without_opq", 4), ("base", 4)):
        refuse_missing_codes(ranker, columns, "cb-1")
