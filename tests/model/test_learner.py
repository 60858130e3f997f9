"""A day in many calls, in one call, or batch by batch: the same weights."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

ITEMS, USERS, ROWS = 40, 9, 100


def fresh(name="gatesid", compiled=False):
    from dataclasses import replace

    from model.checkpoints import fresh_ranker
    from model.config import TrainConfig, preset
    from model.learner import Learner
    from model.rankers.trunk import TableSizes

    ranker = fresh_ranker(replace(preset(name, "practical")[0], hidden=(8,)), TableSizes(ITEMS, USERS), seed=1)
    training = TrainConfig(batch_size=16, compiled=compiled)
    return Learner(ranker, ranker.optimiser(training), training)


def weights(learner):
    return [variable.numpy() for variable in learner.ranker.variables]


def test_steps_inside_one_call_are_the_steps_one_by_one(tiny_day):
    """The last batch has 4 rows of 16; weights and loss are those of a loop outside TensorFlow."""
    from model.dataset import batches

    day, codes = tiny_day(ROWS, ITEMS, USERS)
    at_once, one_by_one = fresh(), fresh()
    loss, total = at_once.learn(day, codes, seed=3), 0.0
    for features, rows in batches(day, codes, 16, seed=3):
        total += len(rows) * float(one_by_one.one_step({
            "features": features, "clicked": day.clicked[rows].astype("f"), "ordered": day.ordered[rows].astype("f"),
            "order_weight": np.ones(len(rows), "f")}))
    for mine, theirs, start in zip(weights(at_once), weights(one_by_one), weights(fresh()), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
        assert start.shape != (ITEMS, 32) or np.abs(mine - start).max() > 1e-3
    np.testing.assert_allclose(loss, total / ROWS, rtol=1e-5)


@pytest.mark.parametrize("name", ["base", "gatesid", "saviorrec"])
def test_compiled_batches_learn_what_the_others_do(name, tiny_day):
    day, codes = tiny_day(ROWS, ITEMS, USERS)
    compiled, plain = fresh(name, compiled=True), fresh(name)
    losses = [learner.learn(day, codes, seed=3) for learner in (compiled, plain)]
    for mine, theirs, start in zip(weights(compiled), weights(plain), weights(fresh(name)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
        assert start.shape != (ITEMS, 32) or np.abs(mine - start).max() > 1e-3
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("compiled", [False, True])
def test_how_many_rows_a_call_takes_changes_no_bit(compiled, tiny_day):
    day, codes = tiny_day(ROWS, ITEMS, USERS)
    whole, parts = fresh(compiled=compiled), fresh(compiled=compiled)
    whole.learn(day, codes, seed=3)
    parts.rows_a_call = 40  # two batches
    parts.learn(day, codes, seed=3)
    for mine, theirs in zip(weights(whole), weights(parts), strict=True):
        np.testing.assert_array_equal(mine, theirs)
