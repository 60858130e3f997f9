"""Rankers with more inputs than codes, through the nightly command's own code: content vectors arrive, or a reason why not."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from features.artefacts import new_artefact
from features.errors import ArtefactError, ConfigError, DataError
from features.layout import Layout

pytestmark = pytest.mark.tf

DAYS = ["2026-01-01", "2026-01-02"]
ITEMS = 30


@pytest.fixture
def lake(tmp_path, write_lake):
    layout = Layout(tmp_path)
    write_lake(layout, DAYS, items=ITEMS)
    write_vectors(layout, ITEMS - 2)
    with new_artefact(layout.codebook("cb-1"), kind="codebook", encoder="enc-1") as draft:
        (draft.path / "note.txt").write_text("test")
    return layout


def write_vectors(layout, items, mode="overwrite", width=64, seed=1):
    vectors = np.random.default_rng(seed).normal(size=[items, width]).astype("f")
    order = np.random.default_rng(2).permutation(items)
    write_deltalake(layout.table("item_vectors"), pa.table({
        "item_id": [f"i{n}" for n in order], "vector": pa.array(list(vectors[order]), pa.list_(pa.float32())),
        "encoder_version": ["enc-1"] * items}), partition_by=["encoder_version"], mode=mode)
    return vectors


def job(layout, ranker, start=DAYS[0], as_of="2026-01-03"):
    from dataclasses import replace

    from model.config import TrainConfig, preset
    from model.train_ranker import Job

    network = replace(preset(ranker, "practical")[0], hidden=(8,), user_width=4)
    return Job(layout, network, TrainConfig(batch_size=32), 1, date.fromisoformat(start), date.fromisoformat(as_of), "cb-1")


def quiet(line):
    return None


@pytest.mark.parametrize("ranker", ["saviorrec", "smile_without_opq", "frozen_content", "sid_only"])
def test_a_ranker_trains_from_the_lake_and_its_checkpoint_scores_the_same(ranker, lake):
    from model.checkpoints import restore
    from model.dataset import PinnedTable, batches, read_codes, read_day
    from model.train_ranker import run

    folder = run(job(lake, ranker, as_of=DAYS[1]), say=quiet)
    day = read_day(PinnedTable.at(lake.table("training_frame")), DAYS[1])
    codes = read_codes(*(PinnedTable.at(lake.table(name)) for name in ("semantic_ids", "item_index")), "cb-1")
    expected = restore(folder).ranker.score(next(batches(day, codes, len(day)))[0])["ctr"]
    run(job(lake, ranker), say=quiet)
    stored = pq.read_table(lake.predictions(ranker, 1) / f"{DAYS[1]}.parquet")
    np.testing.assert_allclose(stored.column("ctr"), expected, rtol=1e-5)


def test_content_vectors_lie_at_their_items_rows(lake):
    from model.checkpoints import restore
    from model.train_ranker import run

    vectors = write_vectors(lake, ITEMS - 2)
    table = restore(run(job(lake, "frozen_content", as_of=DAYS[1]), say=quiet)).ranker.content
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(table(np.arange(2, ITEMS, dtype=np.int32)), centred, atol=1e-5)
    assert not np.any(table(np.int32([ITEMS, ITEMS + 1])))


def test_items_that_come_later_get_their_vectors_and_old_ones_keep_theirs(lake, write_lake):
    from model.checkpoints import restore
    from model.train_ranker import run

    before = restore(run(job(lake, "saviorrec", as_of=DAYS[1]), say=quiet)).ranker.content.table.numpy()
    write_lake(lake, DAYS, items=ITEMS + 10)
    write_vectors(lake, ITEMS + 10, seed=3)
    said = []
    after = restore(run(job(lake, "saviorrec", start=DAYS[0]), say=said.append)).ranker.content.table.numpy()
    np.testing.assert_array_equal(after[:ITEMS], before[:ITEMS])
    assert np.all(np.abs(after[ITEMS:]).max(axis=1) > 0)
    assert said[1] == "content vectors of 12 more items"


def test_smile_is_refused_where_the_codebook_has_no_opq_codes(lake):
    from model.train_ranker import run

    with pytest.raises(ConfigError, match="codebook cb-1 has 4: give --codebook a version with OPQ codes, or train smile_wit"):
        run(job(lake, "smile"), say=quiet)


def test_absent_and_unfitting_vectors_are_named(lake):
    from model.train_ranker import run

    write_vectors(lake, ITEMS, width=16)
    with pytest.raises(DataError, match=r"width 64, got shape \(30, 16\)"):
        run(job(lake, "saviorrec"), say=quiet)
    write_deltalake(lake.table("item_vectors"), pa.table({
        "item_id": ["other"], "vector": pa.array([[1.0] * 64], pa.list_(pa.float32())), "encoder_version": ["enc-1"]}),
        partition_by=["encoder_version"], mode="overwrite")
    with pytest.raises(ArtefactError, match="no vectors of encoder enc-1 for the items of the index: run spark_jobs.sid_ass"):
        run(job(lake, "saviorrec"), say=quiet)


def test_the_command_takes_every_ranker_and_asks_for_a_codebook(lake, monkeypatch, capsys):
    from model.train_ranker import main

    monkeypatch.setenv("GATESID_HOME", str(lake.home))
    assert main(["--ranker", "saviorrec", "--as-of", DAYS[1]]) == 5
    assert "no codebook is live" in capsys.readouterr().err
    assert main(["--ranker", "smile", "--as-of", DAYS[1], "--codebook", "cb-1"]) == 3
    assert "smile needs 6 codes an item" in capsys.readouterr().err
    assert main(["--ranker", "saviorrec", "--as-of", DAYS[1], "--codebook", "cb-1", "--batch-size", "32"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(lake.checkpoint("saviorrec", 1, DAYS[1]))
