"""Every ranker on the shared trunk."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from model.config import ALL_RANKERS, BASE, preset

pytestmark = pytest.mark.tf

ITEMS, USERS, ROWS = 30, 9, 24
GATED = {"gatesid", "gatesid_gate_of_item", "gatesid_gate_of_stats", "gatesid_without_alignment", "static_average", "smile",
         "smile_sid_only", "smile_id_and_sid", "smile_without_opq", "smile_without_rq"}


@pytest.fixture(scope="module")
def features():
    import tensorflow as tf

    from model.rankers.smile import Smile

    rng = np.random.default_rng(11)
    top = {"user_row": USERS, "hour_of_day": 24, "day_of_week": 7, "item_row": ITEMS, "history_rows": ITEMS}
    made = {spec.name: rng.integers(0, top.get(spec.name, 256), [ROWS, *spec.shape]) if spec.dtype == "int32"
            else 20 * rng.random([ROWS, *spec.shape]) for spec in Smile.input_list}
    return {spec.name: tf.constant(made[spec.name], spec.dtype) for spec in Smile.input_list}


def made(name, **changes):
    """A fresh ranker with content vectors, where it holds some."""
    from model.checkpoints import fresh_ranker
    from model.content_vectors import content_tables
    from model.rankers.trunk import TableSizes

    config = replace(preset(name, "practical")[0], **changes)
    ranker = fresh_ranker(config, TableSizes(ITEMS, USERS), seed=1)
    for table in content_tables(ranker):
        table.take(np.arange(2, ITEMS), np.random.default_rng(2).normal(size=[ITEMS - 2, config.content_width]).astype("f"))
    return ranker


@pytest.fixture(scope="module", params=ALL_RANKERS)
def ranker(request):
    return made(request.param)


def test_every_name_is_a_ranker_with_its_own_settings():
    from model.rankers.assemblies import ASSEMBLIES

    assert set(ASSEMBLIES) == set(ALL_RANKERS)
    settings = {name: preset(name, "practical")[0] for name in ALL_RANKERS}
    for name, other in itertools.combinations(ALL_RANKERS, 2):
        same = replace(settings[name], ranker=BASE) == replace(settings[other], ranker=BASE)
        assert ASSEMBLIES[name] is not ASSEMBLIES[other] or not same or {name, other} == {"saviorrec", "saviorrec_mba_16"}


@pytest.mark.parametrize("name", ["practical", "paper"])
def test_the_width_of_the_mba_is_what_its_ablations_change(name):
    widths = {ranker: preset(ranker, name)[0].mba_width for ranker in ALL_RANKERS if ranker.startswith("saviorrec_mba")}
    assert widths == {"saviorrec_mba_8": 8, "saviorrec_mba_16": 16, "saviorrec_mba_32": 32, "saviorrec_mba_64": 64}


def labelled(features, clicked, ordered, order_weight=1.0):
    import tensorflow as tf

    return {"features": features, "clicked": tf.constant(clicked, tf.float32), "ordered": tf.constant(ordered, tf.float32),
            "order_weight": tf.fill([ROWS], order_weight)}


def test_scores_are_probabilities_of_each_row(ranker, features):
    scores = ranker.score(features)
    expected = {"ctr", "ctcvr"} | ({"semantic_weight"} if ranker.name in GATED else set())
    assert set(scores) == expected
    for name, values in scores.items():
        assert values.shape == (ROWS,), name
        assert np.all((values.numpy() >= 0) & (values.numpy() <= 1)), name
    assert np.all(scores["ctcvr"] <= scores["ctr"])
    assert 0 < np.min(scores["ctr"]) < np.max(scores["ctr"]) < 1


def test_a_rows_score_does_not_depend_on_its_batch(ranker, features):
    whole = ranker.score(features)["ctr"].numpy()
    part = ranker.score({name: values[5:8] for name, values in features.items()})["ctr"]
    np.testing.assert_allclose(part, whole[5:8], rtol=1e-5)


def test_a_row_of_defaults_gets_a_finite_score_and_finite_gradients(ranker):
    import tensorflow as tf

    defaults = {spec.name: tf.cast(tf.fill([ROWS, *spec.shape], spec.default), spec.dtype) for spec in ranker.input_list}
    with tf.GradientTape() as tape:
        loss = ranker.compute_loss(labelled(defaults, np.ones(ROWS), np.zeros(ROWS)))
    assert np.isfinite(loss)
    for gradient in tape.gradient(loss, ranker.trainable_variables):
        assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all()


def test_a_sid_that_ends_early_scores_finitely_and_trains_no_code_of_its_missing_levels(ranker, features):
    import tensorflow as tf

    from model.layers.sid_embedding import SidEmbedding

    missing = {name: tf.where(tf.range(values.shape[-1]) == values.shape[-1] - 1, -1, values)
               for name, values in features.items() if name.endswith("_codes")}
    with tf.GradientTape() as tape:
        loss = ranker.compute_loss(labelled(features | missing, np.arange(ROWS) % 2, np.zeros(ROWS)))
    assert np.isfinite(loss)
    deepest = [part.tables[-1] for part in ranker.submodules if isinstance(part, SidEmbedding) and part.built
               and len(part.tables) != 3]  # SMILE reads the first three levels alone
    for gradient in tape.gradient(loss, deepest):
        assert gradient is None or not tf.reduce_any(tf.convert_to_tensor(gradient) != 0)


def test_ranking_loss_is_the_sum_of_both_tasks(ranker, features):
    from model.losses.esmm import esmm

    clicked, ordered = np.arange(ROWS) % 2, (np.arange(ROWS) % 4 == 1).astype(int)
    view = ranker.look_up(features)
    interest = ranker.interest(view)
    logits = ranker.logits(view, interest)
    expected = esmm(logits[:, 0], logits[:, 1], clicked, ordered)
    align = ranker.auxiliary_loss(view, interest)
    both = ranker.compute_loss(labelled(features, clicked, ordered))
    np.testing.assert_allclose(both - align, expected.loss, rtol=1e-5)
    one = ranker.compute_loss(labelled(features, clicked, ordered, order_weight=0.0))
    np.testing.assert_allclose(one - align, expected.ctr_loss, rtol=1e-5)


@pytest.mark.parametrize("rows", [ROWS - 1, 1], ids=["uneven shares", "workers without a row"])
def test_the_shares_of_workers_add_up_to_the_batchs_loss_and_gradients(ranker, features, rows):
    import tensorflow as tf

    from model.data_parallel import share_of_loss
    from model.learner import gradients_of

    every = labelled(features, np.arange(ROWS) % 2, (np.arange(ROWS) % 4 == 1) * 1)
    batch = tf.nest.map_structure(lambda values: values[:rows], every)
    variables = ranker.trainable_variables
    loss, expected = gradients_of(lambda: ranker.compute_loss(batch), variables)
    shares = [gradients_of(lambda at=index: share_of_loss(ranker, batch, at, 3), variables) for index in range(3)]
    np.testing.assert_allclose(sum(float(part) for part, _ in shares), loss, rtol=1e-5)
    for variable, wanted, *parts in zip(variables, expected, *(gradients for _, gradients in shares), strict=True):
        assert all((part is None) == (wanted is None) for part in parts), variable.name
        if wanted is not None:
            added = np.sum([tf.convert_to_tensor(part) for part in parts], axis=0)
            np.testing.assert_allclose(added, tf.convert_to_tensor(wanted), rtol=1e-4, atol=1e-6, err_msg=variable.name)


def test_a_masked_task_trains_nothing(ranker, features):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = ranker.compute_loss(labelled(features, np.ones(ROWS), np.ones(ROWS), order_weight=0.0))
    for gradient in tape.gradient(loss, ranker.cvr_head.trainable_variables):
        np.testing.assert_array_equal(gradient, 0)


def test_every_table_is_trained_by_the_sparse_optimiser(ranker):
    from model.config import TrainConfig

    optimiser = ranker.optimiser(TrainConfig())
    names = [variable.name for variable in [*optimiser.dense, *optimiser.tables]]
    assert sorted(names) == sorted(variable.name for variable in ranker.trainable_variables)
    assert {name for name in names if "table" in name} == {table.name for table in optimiser.tables}


@pytest.mark.parametrize("name", ["base", "frozen_content", "saviorrec_without_mba"])
def test_a_ranker_without_sids_does_not_see_them(name, features):
    import tensorflow as tf

    without = made(name)
    blind = features | {name: -tf.ones_like(features[name]) for name in ("item_codes", "history_codes")}
    np.testing.assert_array_equal(without.score(blind)["ctr"], without.score(features)["ctr"])


def test_gatesid_alignment_is_the_weighted_contrast_of_the_first_rows(features):
    from model.losses.contrastive import gated_infonce

    ranker = made("gatesid", align_loss_weight=0.5, align_rows=10)
    ranker.items.table.assign(np.random.default_rng(1).normal(size=ranker.items.table.shape))
    view = ranker.look_up(features)
    interest = ranker.interest(view)
    expected = gated_infonce(
        interest.sid_emb[:10], view.item_emb[:10], interest.semantic_weight[:10], features["item_row"][:10])
    assert expected.loss > 0
    np.testing.assert_allclose(ranker.auxiliary_loss(view, interest), 0.5 * expected.loss, rtol=1e-6)


@pytest.mark.parametrize("name", ["gatesid", "sid_only", "sid_concatenated", "static_average", "smile", "smile_without_opq"])
def test_an_unseen_item_is_told_apart_by_its_semantic_id(name, features):
    import tensorflow as tf

    ranker = made(name)
    unseen = features | {"item_row": tf.ones_like(features["item_row"])}
    other = unseen | {"item_codes": (features["item_codes"] + 1) % 256}
    assert np.abs(ranker.score(unseen)["ctr"] - ranker.score(other)["ctr"]).min() > 0


@pytest.mark.parametrize(("age", "place"), [(0.0, 0), (0.99, 0), (1.0, 1), (7.0, 3), (400.0, 6)])
def test_repeat_age_falls_into_its_bucket(age, place):
    import tensorflow as tf

    from model.rankers.trunk import repeat_columns

    columns = repeat_columns(tf.constant([2.0]), tf.constant([age])).numpy()[0]
    np.testing.assert_allclose(columns[:3], [np.log1p(2), np.log1p(age), 0], rtol=1e-6)
    assert columns[3:].tolist() == np.eye(7)[place].tolist()


def test_never_taken_has_its_own_flag_and_no_bucket():
    import tensorflow as tf

    from model.rankers.trunk import repeat_columns

    np.testing.assert_array_equal(repeat_columns(tf.constant([0.0]), tf.constant([-1.0])), [[0, 0, 1] + [0] * 7])
