"""Codebook, SIDs, features and model change together: what is checked, what is left alone, what a kill leaves."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from features.layout import Layout
from features.live_codebook import live_codebook

pytestmark = [pytest.mark.tf, pytest.mark.feast]
ROOT = Path(__file__).resolve().parents[2]
KILLED_IN_SWITCH = Path(__file__).with_name("killed_in_switch.py")
OLD, NEW, OTHER = 2026010101, 2026010102, 2026010103
ITEMS = [f"i{n}" for n in range(6)]
ASKED = ("--as-of", "2026-01-02", "--codebook", "cb-2", "--ranker", "tiny", "--version", str(NEW))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, write_codebook, export_tiny):
    """A home in which cb-1 and a model of it serve, and cb-2 is ready: its SIDs, a candidate that ranks as well, its export."""
    from model.codebooks import publish
    from serving.promote import promote

    layout = Layout(tmp_path_factory.mktemp("prepared"))
    for codebook in ("cb-1", "cb-2"):
        write_codebook(layout, codebook)
        write_deltalake(layout.table("semantic_ids"), sids(codebook), partition_by=["codebook_version"], mode="append")
    known = pa.scalar("2026-01-01T12:00:00Z").cast(pa.timestamp("us", "UTC"))
    write_deltalake(layout.table("items"), pa.table({
        "item_id": ITEMS, "title": [f"Oats {n}" for n in range(6)], "published_at": [known] * 6, "ingest_time": [known] * 6,
        "offset": pa.array(range(6), pa.int64())}))
    export_tiny(layout.model("tiny", OLD), codebook_version="cb-1")
    export_tiny(layout.model("tiny", NEW), bias=1.0, codebook_version="cb-2")
    publish(layout, "cb-1", None)
    promote(layout, "ranker", "tiny", OLD)
    write_predictions(layout, [.9, .8, .2, .1])
    write_predictions(layout.candidate("cb-2"), [.9, .8, .2, .1])
    return layout


def sids(codebook, items=ITEMS):
    return pa.table({"item_id": items, "codes": pa.array([[int(codebook[-1])] * 4] * len(items), pa.list_(pa.int32())),
                     "assigned_at": [pa.scalar(1, pa.timestamp("us", "UTC"))] * len(items),
                     "codebook_version": [codebook] * len(items)})


def write_predictions(layout, ctr, clicked=(1, 1, 0, 0)):
    folder = layout.predictions("tiny", 1)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"event_id": list("abcd"), "clicked": pa.array(clicked, pa.int8()),
                             "ctr": pa.array(ctr, pa.float32())}), folder / "2026-01-01.parquet")


@pytest.fixture
def store(tmp_path):
    """host:port of an online store of this test's own."""
    from infra.valkey import running_valkey

    with running_valkey(tmp_path / "valkey") as address:
        yield address


@pytest.fixture
def home(prepared, tmp_path, store, monkeypatch):
    """A copy of `prepared`, whose old SIDs are online."""
    layout = Layout(tmp_path / "home")
    shutil.copytree(prepared.home, layout.home)
    monkeypatch.setenv("GATESID_HOME", str(layout.home))
    monkeypatch.setenv("GATESID_VALKEY", store)
    online(layout, store).apply()
    online(layout, store).push_semantic_ids(ITEMS, [[1] * 4] * 6, "cb-1", 1)
    return layout


def online(layout, store):
    from features.retrieval import FeatureStoreConfig, OnlineFeatures

    return OnlineFeatures(FeatureStoreConfig(layout.home, store))


def switch(*arguments):
    from serving.switch import main

    return main([*ASKED, *arguments])


def served(layout):
    return sorted(int(path.name) for path in (layout.serving / "ranker").glob("[1-9]*"))


def with_altered_byte(file):
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)


def test_codebook_sids_features_and_model_change_together(home, store, wait_until):
    from serving.model_server import ModelServer, ModelServerConfig

    config = ModelServerConfig(home.serving, home.live_codebook_file, watch_seconds=0.1)
    with ModelServer(config, lambda line: None) as server:
        assert server.registry.loaded_versions("ranker") == [OLD]
        assert switch() == 0
        wait_until(lambda: server.registry.loaded_versions("ranker") == [NEW])
    assert live_codebook(home) == "cb-2"
    rows = online(home, store).read_items(ITEMS)
    assert set(rows.codebook_version) | set(rows.other_codebook) == {"cb-1", "cb-2"}  # the old model may still be asked
    assert rows.titles.tolist() == [f"Oats {n}" for n in range(6)]


def test_it_says_what_was_compared_and_a_second_run_does_nothing(home, capsys):
    assert switch() == 0
    said = capsys.readouterr().out
    assert "AUC 1.0000 with the new codebook, 1.0000 with the one in use, over 4 rows of 1 day(s) to 2026-01-01" in said
    assert said.splitlines()[-1] == str(home.serving / "ranker" / str(NEW))

    before = {path: path.stat().st_mtime_ns for path in home.home.rglob("*")}
    assert switch() == 0
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in home.home.rglob("*")} == before


def unhealthy(home):
    file = home.codebook("cb-2") / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["health"]["collision_rate_contents"] = 0.9
    file.write_text(json.dumps(manifest))


def without_one_sid(home):
    write_deltalake(
        home.table("semantic_ids"), sids("cb-2", ITEMS[:5]), mode="overwrite", predicate="codebook_version = 'cb-2'")


def other_rows(home):
    file = home.candidate("cb-2").predictions("tiny", 1) / "2026-01-01.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)


FAULTS = {
    "an altered codebook": (lambda home: with_altered_byte(home.codebook("cb-2") / "codebooks.npy"), "codebook: .*altered"),
    "a collapsed codebook": (unhealthy, "codebook: .*90.0% of different contents share a SID"),
    "an item that would lose its SID": (without_one_sid, "sids: .*1 have none of cb-2; 83.33% have, at least 99.00%"),
    "an altered model": (lambda home: with_altered_byte(home.model("tiny", NEW) / "saved_model.pb"), "model: .*altered"),
    "a model of the old codebook": (lambda home: home.model("tiny", OLD).rename(home.model("tiny", OTHER)),
                                    "model: .*trained on codebook cb-1, live is cb-2"),
    "a newer model": (lambda home: (home.serving / "ranker" / str(OTHER)).mkdir(), "model: .*2026010103 is newer"),
    "a candidate that ranks worse": (lambda home: write_predictions(home.candidate("cb-2"), [.9, .1, .2, .3]),
                                     "ranking: AUC 0.5000 with the new codebook, 1.0000 .*it may lose 0.005"),
    "a candidate that scored other rows": (other_rows, "ranking: .*train the candidate again"),
    "no candidate": (lambda home: shutil.rmtree(home.candidate("cb-2").home), "ranking: no day was scored by both"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_is_named_and_everything_stays_as_it_was(home, store, capsys, fault):
    spoil, said = FAULTS[fault]
    spoil(home)
    version = OTHER if fault == "a model of the old codebook" else NEW
    before = {path: path.stat().st_mtime_ns for path in home.home.rglob("*") if path.is_file()}
    assert switch("--version", str(version)) == 5
    assert re.search(f"nothing was switched. {said}", capsys.readouterr().err)
    after = {path: path.stat().st_mtime_ns for path in home.home.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == {path: at for path, at in before.items() if path.name != ".lock"}
    rows = online(home, store).read_items(ITEMS)
    assert (set(rows.codebook_version), set(rows.other_codebook)) == ({"cb-1"}, {""})


def test_every_fault_is_listed_at_once(home, capsys):
    unhealthy(home)
    without_one_sid(home)
    write_predictions(home.candidate("cb-2"), [.9, .1, .2, .3])
    assert switch() == 5
    said = capsys.readouterr().err
    assert all(f"{part}: " in said for part in ("codebook", "sids", "ranking"))
    assert "model: " not in said


def test_a_codebook_published_meanwhile_is_not_replaced(home, capsys):
    assert switch("--instead-of", "cb-0") == 5
    assert "cb-1 is live, cb-0 was when this began" in capsys.readouterr().err


def test_a_store_that_is_away_leaves_the_old_ones_serving(home, monkeypatch, free_port, capsys):
    monkeypatch.setenv("GATESID_VALKEY", f"127.0.0.1:{free_port()}")
    assert switch() == 3
    assert "does not answer" in capsys.readouterr().err
    assert (live_codebook(home), served(home)) == ("cb-1", [OLD])


def test_a_model_that_reads_no_sids_goes_with_any_codebook(home, export_tiny):
    shutil.rmtree(home.candidate("cb-2").home)
    shutil.rmtree(home.model("tiny", NEW))
    export_tiny(home.model("tiny", NEW), codebook_version=None)
    assert switch() == 0
    assert (live_codebook(home), served(home)) == ("cb-2", [OLD, NEW])


def test_a_rollback_goes_back_to_codebook_and_model(home):
    back = ("--codebook", "cb-1", "--version", str(OLD))
    assert switch() == 0
    assert switch(*back) == 5  # an older model, by mistake
    assert (live_codebook(home), served(home)) == ("cb-2", [OLD, NEW])
    assert switch(*back, "--rollback") == 0
    assert (live_codebook(home), served(home)) == ("cb-1", [OLD])


def test_a_switch_killed_at_any_line_leaves_the_old_ones_served_or_the_new_ones(home, store, tmp_path, wait_until):
    """live.json alone decides: before it names cb-2 the model is left alone, and after it all of cb-2 is there."""
    done = subprocess.run([sys.executable, str(KILLED_IN_SWITCH), str(home.home), str(tmp_path / "killed"), store], cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    states = json.loads(done.stdout.splitlines()[-1])
    served_states = [(live, version) for live, version, _ in states]
    assert len(states) > 40
    assert set(served_states) == {("cb-1", OLD), ("cb-2", NEW)}
    assert served_states == sorted(served_states)  # the old ones, then from one line on the new ones
    assert all(there == ITEMS for _, _, there in states)  # and their SIDs online at every moment


@pytest.mark.parametrize("killed_before", ["features.materialize.run", "serving.switch.copy", "serving.switch.publish"])
def test_a_switch_that_was_killed_goes_on(home, store, monkeypatch, killed_before):
    class Killed(BaseException):
        pass

    def kill(*arguments, **named):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(killed_before, kill)
        with pytest.raises(Killed):
            switch()
    assert live_codebook(home) == "cb-1"
    assert switch() == 0
    assert (live_codebook(home), served(home)) == ("cb-2", [OLD, NEW])
    rows = online(home, store).read_items(ITEMS)
    assert rows.codebook_version.tolist() == ["cb-2"] * 6
