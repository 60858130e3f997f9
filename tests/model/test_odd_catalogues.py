"""Catalogues at the edge go through encoder and codebook: each item that has content gets a SID, and equal ones the same."""

import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.artefacts import read_manifest
from features.encoder import ContentEncoder
from features.layout import Layout
from model.codebook_health import HealthLimits
from model.encoder_training import EncoderTraining
from model.item_catalogue import read_items
from model.rqvae_config import RqVaeConfig
from model.train_encoder import make_encoder
from model.train_rqvae import make_codebook

pytestmark = pytest.mark.tf
DAY = date(2026, 1, 3)
SAME = [0.5] * 4
CATALOGUES = {  # (title, vector), and how many SIDs differ at least and at most
    "one item": ([("rolled oats", None)], 1, 1),
    "one content in many items": ([("rolled oats", None)] * 6, 1, 1),
    "duplicate vectors and nothing else": ([(None, SAME)] * 3 + [(None, [1.0, 0.0, 0.0, 0.0])], 2, 2),
    "titles in several scripts, one of a megabyte, one empty": (
        [("Haferflocken", None), ("燕麦片", None), ("овсянка 🥣", None), ("long " * 200_000, None), ("", None)], 4, 4),
}


@pytest.mark.parametrize("name", CATALOGUES)
def test_an_odd_catalogue_without_a_single_pair(tmp_path, name):
    rows, least, most = CATALOGUES[name]
    layout, known = Layout(tmp_path), pa.scalar("2026-01-01T12:00:00Z").cast(pa.timestamp("us", "UTC"))
    write_deltalake(layout.table("items"), pa.table({
        "item_id": [f"i{n}" for n in range(len(rows))], "title": pa.array([title for title, _ in rows], pa.string()),
        "attributes": [json.dumps({})] * len(rows), "vector": pa.array([v for _, v in rows], pa.list_(pa.float32())),
        "published_at": [known] * len(rows), "ingest_time": [known] * len(rows), "offset": list(range(len(rows)))}))
    encoder = make_encoder(layout, DAY, None, EncoderTraining(steps=2, batch_pairs=4))
    version = make_codebook(layout, DAY, encoder, RqVaeConfig(epochs=1), HealthLimits(min_coverage=1))
    health = read_manifest(layout.codebook(version))["health"]
    assert all(level["coverage"] == 1 for level in health["levels"])
    assert health["co_click"]["pairs"] == 0
    _, items = read_items(DeltaTable(layout.table("items")), DAY)
    codes = ContentEncoder.load(layout.codebook(version)).codes(items)
    full = np.array([bool(item.title) or item.vector is not None for item in items])
    assert (codes[full] >= 0).all()
    assert (codes[~full] == -1).all()
    assert least <= len(np.unique(codes[full], axis=0)) <= most
