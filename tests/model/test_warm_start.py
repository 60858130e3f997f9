"""SID tables carried from one codebook to another."""

import numpy as np
import pytest

from model.config import ALL_RANKERS

pytestmark = pytest.mark.tf

ITEMS, USERS, COLUMNS = 600, 9, 6  # four RQ codes and two of OPQ


@pytest.fixture(scope="module")
def codes():
    """Codes of two codebooks: the new one splits what had one code and merges others; row 2 is unknown to the old one, row 3
    to the new one."""
    rng = np.random.default_rng(5)
    old = rng.integers(0, 256, [ITEMS, COLUMNS]).astype(np.int32)
    new = np.where(rng.random(old.shape) < 0.7, 255 - old, rng.integers(0, 256, old.shape)).astype(np.int32)
    old[2], new[3] = -1, -1
    return old, new


def trained(name):
    """A ranker and its optimiser, tables and slots filled as if they had learnt."""
    from model.checkpoints import fresh_ranker
    from model.config import TrainConfig, preset
    from model.rankers.trunk import TableSizes

    ranker = fresh_ranker(preset(name, "practical")[0], TableSizes(ITEMS, USERS), seed=1)
    optimiser = ranker.optimiser(TrainConfig())
    rng = np.random.default_rng(3)
    for part in ranker.sid_embeddings():
        for table in part.tables:
            table.assign(rng.normal(scale=0.1, size=table.shape))
    for slot in optimiser.state().values():
        slot.assign(rng.integers(1, 9, slot.shape))
    return ranker, optimiser


def test_shares_by_hand():
    from model.warm_start import shares

    old, new = np.array([0, 0, 1, 2, -1, 1]), np.array([1, 1, 1, 0, 0, -1])
    np.testing.assert_allclose(shares(old, new, 3), [[0, 0, 1], [2 / 3, 1 / 3, 0], [0, 0, 0]])


@pytest.mark.parametrize("name", [name for name in ALL_RANKERS if name != "base"])
def test_sid_tables_alone_change_and_each_by_its_own_column(name, codes):
    from model.checkpoints import arrays, weights_by_name
    from model.warm_start import warm_start

    old, new = codes
    ranker, optimiser = trained(name)
    weights, slots = arrays(weights_by_name(ranker)), arrays(optimiser.state())
    report = warm_start(ranker, optimiser, old, new, seed=1)
    tables = {table.name: ranker.first_column(part) + level
              for part in ranker.sid_embeddings() for level, table in enumerate(part.tables)}
    assert set(report) == set(tables)
    for before, after in ((weights, arrays(weights_by_name(ranker))), (slots, arrays(optimiser.state()))):
        for variable, values in before.items():
            if variable not in tables:
                np.testing.assert_array_equal(after[variable], values, err_msg=variable)
                continue
            mine, theirs = old[:, tables[variable]], new[:, tables[variable]]
            for code in np.unique(theirs[(theirs >= 0) & (mine >= 0)])[:20]:
                expected = values[mine[(theirs == code) & (mine >= 0)]].mean(axis=0)
                np.testing.assert_allclose(after[variable][code], expected, rtol=1e-5, atol=1e-6)


def test_smile_reads_its_opq_tables_from_the_columns_after_the_sid():
    ranker, _ = trained("smile")
    assert {part.name: ranker.first_column(part) for part in ranker.sid_embeddings()} == {"rq": 0, "opq": 4}


def test_a_code_without_partner_starts_fresh():
    from model.config import TrainConfig
    from model.warm_start import warm_start

    old, new = np.full([ITEMS, 4], -1, np.int32), np.full([ITEMS, 4], -1, np.int32)
    old[5], new[5], new[6] = 7, 9, 11
    ranker, optimiser = trained("gatesid")
    before = [table.numpy() for table in ranker.sids.tables]
    report = warm_start(ranker, optimiser, old, new, seed=1)
    assert list(report.values()) == [{"used": 2, "warm": 1}] * 4
    for table, values in zip(ranker.sids.tables, before, strict=True):
        np.testing.assert_array_equal(table[9], values[7])
        assert 0 < np.abs(table[11]).max() < 6 * ranker.sids.initial_spread
        np.testing.assert_array_equal(optimiser.state()[table.name][11], np.float32(TrainConfig().table_accumulator))


@pytest.mark.parametrize("name", ["gatesid", "saviorrec", "smile_without_opq", "sid_concatenated"])
def test_a_warm_start_scores_closer_to_the_old_model_than_cold_tables(name, codes, tiny_day):
    from model.checkpoints import fresh_ranker
    from model.dataset import batches
    from model.warm_start import warm_start

    old, new = codes[0][:, :4], codes[1][:, :4]
    day, _ = tiny_day(400, ITEMS, USERS)
    ranker, optimiser = trained(name)

    def logits(codes):
        ctr = ranker.score(next(batches(day, codes, len(day)))[0])["ctr"].numpy().astype(float)
        return np.log(ctr) - np.log1p(-ctr)

    before = logits(old)
    warm_start(ranker, optimiser, old, new, seed=1)
    warm = np.abs(logits(new) - before).mean()
    fresh = fresh_ranker(ranker.config, ranker.sizes, seed=2)
    for part, cold in zip(ranker.sid_embeddings(), fresh.sid_embeddings(), strict=True):
        for table, start in zip(part.tables, cold.tables, strict=True):
            table.assign(start)
    cold = np.abs(logits(new) - before).mean()
    assert warm < 0.8 * cold


@pytest.mark.parametrize("name", ["gatesid", "saviorrec"])
def test_days_learnt_again_move_the_sid_tables_alone(name, tiny_day):
    from model.checkpoints import arrays, weights_by_name
    from model.config import TrainConfig
    from model.learner import Learner

    ranker, optimiser = trained(name)
    learner = Learner(ranker, optimiser, TrainConfig(batch_size=64))
    day, codes = tiny_day(200, ITEMS, USERS)
    before = arrays(weights_by_name(ranker)) | {f"slot of {key}": v for key, v in arrays(optimiser.state()).items()}
    learner.relearn(day, codes, seed=1)
    after = arrays(weights_by_name(ranker)) | {f"slot of {key}": v for key, v in arrays(optimiser.state()).items()}
    tables = {table.name for table in ranker.sid_tables()}
    moved = {key for key, values in before.items() if not np.array_equal(after[key], values)}
    assert moved == tables | {f"slot of {table}" for table in tables}
    assert learner.learnt == ""
