"""Checkpoints: what was saved comes back, tables grow without moving, what does not fit is refused."""

import json

import numpy as np
import pytest

from features.artefacts import MANIFEST
from features.errors import ArtefactError, CodebookMismatch, ConfigError

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def trained():
    """A GateSID ranker and its optimiser after three steps on random rows."""
    return learner()


def learner(steps=3, items=20, users=6):
    from model.checkpoints import fresh_ranker
    from model.config import RankerConfig, TrainConfig
    from model.learner import Learner
    from model.rankers.trunk import TableSizes

    ranker = fresh_ranker(RankerConfig(ranker="gatesid", hidden=(8,)), TableSizes(items, users), seed=3)
    training = TrainConfig(batch_size=32)
    made = Learner(ranker, ranker.optimiser(training), training)
    rng = np.random.default_rng(6)
    for _ in range(steps):
        made.steps(labelled(rng, items, users))
    return made


def features(rng, items, users, rows=32):
    return {
        "user_row": rng.integers(1, users, rows), "hour_of_day": rng.integers(0, 24, rows),
        "day_of_week": rng.integers(0, 7, rows), "history_rows": rng.integers(0, items, [rows, 50]),
        "history_codes": rng.integers(-1, 256, [rows, 50, 4]), "item_row": rng.integers(1, items, rows),
        "item_codes": rng.integers(-1, 256, [rows, 4]), "item_stats": rng.random([rows, 3]) * 100,
        "repeat_count": rng.integers(0, 3, rows).astype(float), "repeat_age_days": rng.random(rows) * 9 - 1}


def cast(given):
    import tensorflow as tf

    from features.spec import RANKING_INPUTS

    return {spec.name: tf.constant(given[spec.name], spec.dtype) for spec in RANKING_INPUTS}


def labelled(rng, items, users):
    import tensorflow as tf

    clicked = (rng.random(32) < 0.4).astype("f")
    return {"features": cast(features(rng, items, users)), "clicked": tf.constant(clicked),
            "ordered": tf.constant(clicked * (rng.random(32) < 0.5).astype("f")), "order_weight": tf.ones([32])}


@pytest.fixture
def folder(trained, tmp_path):
    from model.checkpoints import save

    save(tmp_path / "2026-01-02", trained.ranker, trained.optimiser, codebook="cb-1", progress=[], as_of="2026-01-02")
    return tmp_path / "2026-01-02"


def test_a_restored_ranker_scores_the_same_to_the_bit(trained, folder):
    from model.checkpoints import restore

    rows = cast(features(np.random.default_rng(7), 20, 6))
    restored = restore(folder, codebook="cb-1")
    for name, expected in trained.ranker.score(rows).items():
        np.testing.assert_array_equal(restored.ranker.score(rows)[name], expected)
    assert restored.config == trained.ranker.config
    assert restored.manifest["codebook_version"] == "cb-1"


def test_training_goes_on_as_if_it_had_not_stopped(folder):
    from model.checkpoints import restore, restore_slots
    from model.learner import Learner

    batch = labelled(np.random.default_rng(8), 20, 6)
    unbroken = learner()
    unbroken.steps(batch)
    restored = restore(folder)
    optimiser = restored.ranker.optimiser(unbroken.training)
    restore_slots(folder, restored.ranker, optimiser)
    resumed = Learner(restored.ranker, optimiser, unbroken.training)
    resumed.steps(batch)
    for mine, theirs in zip(resumed.ranker.variables, unbroken.ranker.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.name)


def test_grown_tables_keep_old_rows_and_slots_to_the_bit(trained, folder):
    from model.checkpoints import restore, restore_slots
    from model.rankers.trunk import TableSizes

    grown = restore(folder, TableSizes(items=25, users=9))
    optimiser = grown.ranker.optimiser(trained.training)
    restore_slots(folder, grown.ranker, optimiser)
    old_slots, new_slots = trained.optimiser.state(), optimiser.state()
    for old, new, rows in ((trained.ranker.items.table, grown.ranker.items.table, 20),
                           (trained.ranker.users.table, grown.ranker.users.table, 6)):
        np.testing.assert_array_equal(new[:rows], old)
        np.testing.assert_array_equal(new[rows:], 0)
        np.testing.assert_array_equal(new_slots[new.name][:rows], old_slots[old.name])
        np.testing.assert_array_equal(new_slots[new.name][rows:], np.float32(trained.training.table_accumulator))
    assert np.abs(old_slots[trained.ranker.items.table.name].numpy()).max() > trained.training.table_accumulator
    rows = cast(features(np.random.default_rng(9), 20, 6))
    np.testing.assert_array_equal(grown.ranker.score(rows)["ctr"], trained.ranker.score(rows)["ctr"])


def test_an_item_without_a_row_scores_as_the_out_of_vocabulary_row(trained):
    given = features(np.random.default_rng(10), 20, 6)
    beyond, unknown = given | {"item_row": np.full(32, 20)}, given | {"item_row": np.full(32, 1)}
    np.testing.assert_array_equal(trained.ranker.score(cast(beyond))["ctr"], trained.ranker.score(cast(unknown))["ctr"])


def test_an_index_that_shrank_is_refused(folder):
    from model.checkpoints import restore
    from model.rankers.trunk import TableSizes

    with pytest.raises(ArtefactError, match="an index only grows"):
        restore(folder, TableSizes(items=10, users=6))


def test_another_codebook_is_refused(folder):
    from model.checkpoints import restore

    with pytest.raises(CodebookMismatch, match="trained on codebook cb-1, got cb-2"):
        restore(folder, codebook="cb-2")


def alter(folder, **values):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | values))


def test_another_list_of_inputs_is_refused(folder):
    from model.checkpoints import restore

    alter(folder, contract_hash="0123456789ab")
    with pytest.raises(CodebookMismatch, match="trained on inputs 0123456789ab"):
        restore(folder)


def test_a_setting_this_code_does_not_know_is_refused(folder):
    from model.checkpoints import restore

    alter(folder, ranker={"ranker": "gatesid", "warp": 9})
    with pytest.raises(ConfigError, match="unknown ranker setting warp"):
        restore(folder)


def test_half_written_and_truncated_folders_are_refused(folder, tmp_path):
    from model.checkpoints import WEIGHTS, restore

    with pytest.raises(ArtefactError, match="half-written"):
        restore(tmp_path / "2026-01-03")
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])
    with pytest.raises(ArtefactError, match="missing or altered"):
        restore(folder)


def test_a_checkpoint_is_never_overwritten(trained, folder):
    from model.checkpoints import save

    with pytest.raises(ArtefactError, match="immutable"):
        save(folder, trained.ranker, trained.optimiser, codebook="cb-1", progress=[])
