"""SMILE from the lake: its OPQ codes come from the published vectors, and nothing else changes."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from features.layout import Layout

pytestmark = pytest.mark.tf

DAYS = ["2026-01-01", "2026-01-02"]
ITEMS, WIDTH = 30, 8


@pytest.fixture
def lake(tmp_path, write_lake, write_codebook):
    """Vectors of all items but two, SIDs of all but three, and a codebook whose OPQ is random."""
    layout, rng = Layout(tmp_path), np.random.default_rng(4)
    write_lake(layout, DAYS, items=ITEMS)
    rotation = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    write_codebook(layout, "cb-1", arrays={"opq.rotation": rotation, "opq.codebooks": rng.normal(size=(2, 256, 1))})
    order = rng.permutation(ITEMS - 2)
    vectors = rng.normal(size=(ITEMS - 2, WIDTH)).astype("f")
    write_deltalake(layout.table("item_vectors"), pa.table({
        "item_id": [f"i{n}" for n in order], "vector": pa.array(list(vectors[order]), pa.list_(pa.float32())),
        "encoder_version": ["enc-1"] * len(order)}), partition_by=["encoder_version"])
    return layout, vectors


def tables(layout):
    from model.dataset import PinnedTable

    names = ("semantic_ids", "item_index", "item_vectors", "training_frame")
    return {name: PinnedTable.at(layout.table(name)) for name in names}


def test_opq_codes_lie_beside_the_sid_of_their_item(lake):
    from features.encoder import ContentEncoder
    from model.dataset import read_codes
    from model.opq_codes import with_opq_codes

    layout, vectors = lake
    table = tables(layout)
    sids = read_codes(table["semantic_ids"], table["item_index"], "cb-1")
    codes = with_opq_codes(sids, layout, "cb-1", table["item_vectors"], table["item_index"])
    np.testing.assert_array_equal(codes[:, :4], sids)
    quantiser = ContentEncoder.load(layout.codebook("cb-1")).quantiser
    for item in range(ITEMS):
        expected = [-1, -1] if item >= ITEMS - 3 else quantiser.opq_codes(vectors[item:item + 1])[0].tolist()
        assert codes[item + 2, 4:].tolist() == expected, item
    assert (codes[:2] == -1).all()


def test_smile_trains_from_the_lake_and_its_checkpoint_scores_the_same(lake):
    from model.checkpoints import restore
    from model.config import TrainConfig, preset
    from model.dataset import batches, read_codes, read_day
    from model.layers.opq_neighbours import opq_neighbours
    from model.opq_codes import with_opq_codes
    from model.train_ranker import Job, run

    layout, _ = lake
    network = replace(preset("smile", "practical")[0], hidden=(8,), user_width=4)
    job = Job(layout, network, TrainConfig(batch_size=32), 1, date(2026, 1, 1), date(2026, 1, 2), "cb-1")
    restored = restore(run(job, say=str)).ranker
    books = np.load(layout.codebook("cb-1") / "opq.codebooks.npy")
    np.testing.assert_array_equal(restored.neighbours, opq_neighbours(books))
    table = tables(layout)
    codes = with_opq_codes(read_codes(table["semantic_ids"], table["item_index"], "cb-1"), layout, "cb-1",
                           table["item_vectors"], table["item_index"])
    day = read_day(table["training_frame"], DAYS[1])
    expected = restored.score(next(batches(day, codes, len(day)))[0])["ctr"]
    run(replace(job, as_of=date(2026, 1, 3)), say=str)
    stored = pq.read_table(layout.predictions("smile", 1) / f"{DAYS[1]}.parquet")
    np.testing.assert_allclose(stored.column("ctr"), expected, rtol=1e-5)
