"""The command `python -m model.train_encoder`, on a small lake."""

import json

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.artefacts import read_manifest
from features.catalogue import ItemContent
from features.encoder import ContentEncoder
from features.layout import Layout
from model.train_encoder import main

pytestmark = pytest.mark.tf
RUN = ["--as-of", "2026-01-03", "--steps", "3"]


def write_items(layout, titles):
    known = pa.scalar("2026-01-01T12:00:00Z").cast(pa.timestamp("us", "UTC"))
    write_deltalake(layout.table("items"), pa.table({
        "item_id": [f"i{n}" for n in range(len(titles))], "title": pa.array(titles, pa.string()),
        "attributes": [json.dumps({"kind": f"kind {n % 4}"}) if title else None for n, title in enumerate(titles)],
        "vector": pa.nulls(len(titles), pa.list_(pa.float32())), "ingest_time": [known] * len(titles),
        "published_at": [known] * len(titles),
        "offset": list(range(len(titles)))}))


def write_pairs(layout, pairs):
    both = pairs + [(b, a) for a, b in pairs]
    write_deltalake(layout.table("co_click_pairs"), pa.table({
        "item_a": [a for a, _ in both], "item_b": [b for _, b in both], "count": [3] * len(both),
        "ds": ["2026-01-02"] * len(both)}))


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    return Layout(tmp_path)


def test_it_writes_an_encoder_and_a_second_run_does_nothing(layout, capsys):
    write_items(layout, [*(f"title {n}" for n in range(30)), None])
    write_pairs(layout, [(f"i{n}", f"i{n + 1}") for n in range(0, 28, 2)])
    assert main(RUN) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "enc-2026-01-03"
    manifest = read_manifest(layout.encoder("enc-2026-01-03"), kind="encoder")
    assert manifest["alignment"] == "co_click"
    assert manifest["rows"]["items"] == 30
    assert manifest["rows"]["items_without_content"] == 1
    assert manifest["rows"]["pairs_trained_on"] + manifest["rows"]["pairs_held_out"] == 14
    assert manifest["reads"] == {"items": 0, "co_click_pairs": 0}
    assert ContentEncoder.load(layout.encoder("enc-2026-01-03")).embed([ItemContent("title 3", {})]).any()

    assert main(RUN) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main([*RUN, "--seed", "2"]) == 5
    assert "made from other inputs" in capsys.readouterr().err


def test_without_pairs_it_says_so_and_learns_from_content(layout, capsys):
    write_items(layout, [f"title {n}" for n in range(12)])
    assert main(RUN) == 0
    assert "no co-click pairs: the encoder learns from content alone" in capsys.readouterr().out
    manifest = read_manifest(layout.encoder("enc-2026-01-03"))
    assert manifest["alignment"] == "content_only"
    assert manifest["reads"]["co_click_pairs"] is None


def test_a_catalogue_without_content_is_refused(layout, capsys):
    write_items(layout, [None, None])
    assert main(RUN) == 4
    assert "none of 2 items" in capsys.readouterr().err
    assert not layout.encoder("enc-2026-01-03").exists()


def test_no_catalogue_and_a_bad_day_are_refused(layout, capsys):
    assert main(RUN) == 5
    assert "no Delta table" in capsys.readouterr().err
    assert main(["--as-of", "tomorrow"]) == 3
    assert "YYYY-MM-DD" in capsys.readouterr().err
