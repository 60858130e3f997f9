"""The command `python -m model.train_rqvae`: judged before it is written, published on request, repeatable."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.artefacts import read_manifest
from features.catalogue import ItemContent
from features.encoder import ContentEncoder
from features.errors import DataError
from features.layout import Layout
from features.live_codebook import live_codebook
from features.sid import SemanticId
from model.train_encoder import main as train_encoder
from model.train_rqvae import main

pytestmark = pytest.mark.tf
RUN = ["--as-of", "2026-01-03", "--encoder", "enc-2026-01-03", "--epochs", "1"]
FOODS = ("oats", "milk", "green tea", "coffee beans", "apple juice", "rye bread", "goat cheese", "dark chocolate")
TITLES = [f"{food} {size} {taste}" for food in FOODS for size in ("small", "large", "family pack")
          for taste in ("plain", "organic", "spiced")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A lake of 72 items and a trained encoder."""
    home = tmp_path_factory.mktemp("home")
    layout = Layout(home)
    known = pa.scalar("2026-01-01T12:00:00Z").cast(pa.timestamp("us", "UTC"))
    count = len(TITLES)
    write_deltalake(layout.table("items"), pa.table({
        "item_id": [f"i{n}" for n in range(count)], "title": TITLES,
        "attributes": [json.dumps({"food": FOODS[n // 9]}) for n in range(count)],
        "vector": pa.nulls(count, pa.list_(pa.float32())), "ingest_time": [known] * count, "published_at": [known] * count,
        "offset": list(range(count))}))
    pairs = [(f"i{n}", f"i{n + 1}") for n in range(count - 1) if n % 9 < 8]
    both = pairs + [(b, a) for a, b in pairs]
    write_deltalake(layout.table("co_click_pairs"), pa.table({
        "item_a": [a for a, _ in both], "item_b": [b for _, b in both], "count": [3] * len(both),
        "ds": ["2026-01-02"] * len(both)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATESID_HOME", str(home))
        assert train_encoder(["--as-of", "2026-01-03", "--steps", "5"]) == 0
    return home


@pytest.fixture
def layout(home, monkeypatch):
    monkeypatch.setenv("GATESID_HOME", str(home))
    return Layout(home)


def test_a_collapsed_codebook_is_refused_and_nothing_is_published(layout, capsys, monkeypatch):
    def collapsed(vectors, pairs, config):
        from model.rqvae import RqVae
        return RqVae(config, vectors)  # its codebooks are zero: every item gets code 0

    monkeypatch.setattr("model.train_rqvae.train_rqvae", collapsed)
    assert main([*RUN, "--publish"]) == DataError.exit_code
    assert "level 1 uses 1 of 72 codes" in capsys.readouterr().err
    assert not layout.codebook("cb-2026-01-03").exists()
    assert not layout.live_codebook_file.exists()
    assert not list(layout.codebook("x").parent.glob("*cb-*"))


def test_it_judges_writes_and_publishes_and_a_second_run_does_nothing(layout, capsys):
    assert main(RUN) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "cb-2026-01-03"
    assert not layout.live_codebook_file.exists()
    folder = layout.codebook("cb-2026-01-03")
    manifest = read_manifest(folder, kind="codebook", verify=True)
    health = json.loads((folder / "health.json").read_text())
    assert manifest["health"] == health
    assert manifest["encoder"] == "enc-2026-01-03"
    assert health["items"] == health["contents"] == 72
    assert health["levels"][0]["usable"] == 72
    assert 0 <= health["co_click"]["hit_at_30"]["encoder"] <= 1
    assert np.load(folder / "codebooks.npy", allow_pickle=False).shape == (4, 256, 64)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    assert main([*RUN, "--publish"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert live_codebook(layout) == "cb-2026-01-03"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert main([*RUN, "--seed", "9"]) == 5
    assert "made from other inputs" in capsys.readouterr().err

    encoder = ContentEncoder.load(folder)
    codes = encoder.codes([ItemContent(TITLES[0], {"food": FOODS[0]}), ItemContent("quite new", {}), ItemContent(None, {})])
    assert [SemanticId(tuple(row.tolist()), encoder.version).is_missing for row in codes] == [False, False, True]
    np.testing.assert_array_equal(encoder.embed([ItemContent("milk", {})]),
                                  ContentEncoder.load(layout.encoder("enc-2026-01-03")).embed([ItemContent("milk", {})]))


def test_the_preset_smile_adds_opq_codes_and_reads_like_any_codebook(layout, capsys):
    assert main([*RUN, "--preset", "smile"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "cb-2026-01-03-smile"
    assert "opq | perplexity" in out
    folder = layout.codebook("cb-2026-01-03-smile")
    manifest = read_manifest(folder, kind="codebook", verify=True)
    assert manifest["quantiser"] == "rq_opq"
    assert manifest["config"]["opq_after"] == 3
    assert set(manifest["health"]["co_click"]["hit_at_30"]) == {"text", "encoder", "reconstruction", "opq_reconstruction",
                                                                  "popularity"}
    assert np.load(folder / "codebooks.npy", allow_pickle=False).shape == (4, 256, 64)
    encoder = ContentEncoder.load(folder)
    assert encoder.codes([ItemContent("oats small plain", {"food": "oats"})]).shape == (1, 4)
    assert encoder.quantiser.opq_codes(encoder.embed([ItemContent("milk", {}), ItemContent("oats", {})])).shape == (2, 2)
    assert main([*RUN, "--preset", "smile"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_retrained_codebook_takes_over_the_old_ones_numbers(layout, capsys):
    assert main([*RUN, "--seed", "1"]) == 0  # made above, or now
    old = ContentEncoder.load(layout.codebook("cb-2026-01-03"))
    contents = [ItemContent(title, {"food": FOODS[n // 9]}) for n, title in enumerate(TITLES)]
    published = old.codes(contents)
    write_deltalake(layout.table("semantic_ids"), pa.table({
        "item_id": [f"i{n}" for n in range(len(TITLES))], "codes": pa.array(list(published), pa.list_(pa.int32())),
        "assigned_at": pa.array([0] * len(TITLES), pa.timestamp("us", "UTC")),
        "codebook_version": ["cb-2026-01-03"] * len(TITLES)}), partition_by=["codebook_version"], mode="overwrite")
    again = ["--as-of", "2026-01-05", "--encoder", "enc-2026-01-03", "--epochs", "1", "--seed", "5"]
    assert main([*again, "--match-to", "cb-2026-01-03"]) == 0
    assert "churn to cb-2026-01-03, matched:" in capsys.readouterr().out
    folder = layout.codebook("cb-2026-01-05")
    churn = json.loads((folder / "health.json").read_text())["stability"]
    assert 0 < churn["neighbourhood_overlap"] <= 1
    assert churn["matched"]["by_level"][0] < churn["as_trained"]["by_level"][0]
    new = ContentEncoder.load(folder).codes(contents)  # what will be assigned is what was measured
    np.testing.assert_allclose((new != published).mean(axis=0), churn["matched"]["by_level"])
    assert main([*again, "--match-to", "cb-none"]) == 5
    assert "made from other inputs (matched_to: there 'cb-2026-01-03', asked 'cb-none')" in capsys.readouterr().err


def test_a_codebook_that_goes_on_from_another_keeps_most_codes(layout, capsys):
    """After the test above: its SIDs of cb-2026-01-03 are published."""
    assert train_encoder(["--as-of", "2026-01-06", "--steps", "3", "--warm-start", "cb-2026-01-03"]) == 0
    warm = ["--as-of", "2026-01-06", "--encoder", "enc-2026-01-06", "--warm-start", "cb-2026-01-03",
            "--match-to", "cb-2026-01-03"]
    assert main(warm) == 0
    assert "neighbours as in cb-2026-01-03" in capsys.readouterr().out
    manifest = read_manifest(layout.codebook("cb-2026-01-06"))
    assert manifest["warm_start"] == read_manifest(layout.encoder("enc-2026-01-06"))["warm_start"] == "cb-2026-01-03"
    stayed = manifest["health"]["stability"]
    assert stayed["as_trained"]["anywhere"] < 0.5
    assert stayed["neighbourhood_overlap"] > 0.5
    assert main([*warm, "--limit", "min_neighbourhood_overlap=0.99"]) == 0  # it stands as it was judged
    assert main(["--as-of", "2026-01-07", *warm[2:], "--limit", "min_neighbourhood_overlap=1.01"]) == 4
    assert "of a content's neighbours are those it has in cb-2026-01-03, at least 101% expected" in capsys.readouterr().err
    assert main(["--as-of", "2026-01-07", "--encoder", "enc-2026-01-06", "--warm-start", "cb-none"]) == 5
    assert main(["--as-of", "2026-01-07", "--encoder", "enc-2026-01-06", "--preset", "smile", "--warm-start",
                 "cb-2026-01-03"]) == 5
    assert "has no OPQ codes" in capsys.readouterr().err


def test_sizes_that_no_ranker_reads_are_not_published(layout, capsys):
    assert main([*RUN, "--preset", "saviorrec", "--publish"]) == 3
    assert "got 8 x 2048: it can be trained and judged (--preset), not served" in capsys.readouterr().err
    assert not layout.codebook("cb-2026-01-03-saviorrec").exists()


def test_the_name_of_a_retired_codebook_is_not_given_again(layout, capsys):
    version = "cb-2026-01-09"
    layout.codebook(f".retired-{version}").mkdir(parents=True)
    assert main(["--as-of", "2026-01-09", "--encoder", "enc-2026-01-03"]) == 5
    assert "its SIDs are still in the lake" in capsys.readouterr().err


def test_an_absent_or_altered_encoder_is_refused(layout, capsys):
    assert main(["--as-of", "2026-01-04", "--encoder", "enc-none"]) == 5
    assert "absent or half-written" in capsys.readouterr().err
    altered = layout.encoder("enc-altered")
    shutil.copytree(layout.encoder("enc-2026-01-03"), altered)
    array = np.load(altered / "encoder.pool_shift.npy") + np.float32(1)
    np.save(altered / "encoder.pool_shift.npy", array)
    assert main(["--as-of", "2026-01-04", "--encoder", "enc-altered"]) == 5
    assert "encoder.pool_shift.npy is missing or altered" in capsys.readouterr().err


def test_codebook_sizes_that_the_rankers_do_not_read_are_refused(layout, capsys, monkeypatch):
    monkeypatch.setenv("GATESID_CODEBOOK__LEVELS", "3")
    assert main(RUN) == 3
    assert "got 3 x 256" in capsys.readouterr().err
