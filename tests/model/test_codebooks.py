"""Publishing and retiring: one atomic change each, of a whole codebook, by one at a time, of nothing in use."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from features.errors import ArtefactError, ConfigError, DataError
from features.layout import Layout
from features.live_codebook import live_codebook
from model import codebooks
from model.codebooks import changing, live_now, publish, refuse_retired, retire, retired_versions

ROOT = Path(__file__).resolve().parents[2]
KILLED_AT_EACH_LINE = Path(__file__).with_name("killed_at_each_line.py")


@pytest.fixture
def layout(tmp_path, write_codebook):
    layout = Layout(tmp_path / "home")
    write_codebook(layout, "cb-1")
    write_codebook(layout, "cb-2")
    return layout


def write_manifest(folder, **manifest):
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_the_published_version_is_live(layout):
    publish(layout, "cb-1", None)
    assert live_codebook(layout) == "cb-1"
    publish(layout, "cb-2", "cb-1")
    publish(layout, "cb-2", "cb-2")
    assert live_codebook(layout) == "cb-2"
    assert json.loads(layout.live_codebook_file.read_text())["encoder"] == "enc-1"
    assert not list(layout.live_codebook_file.parent.glob(".live*"))


def test_an_altered_codebook_is_not_published_and_the_old_one_stays(layout):
    publish(layout, "cb-1", None)
    file = layout.codebook("cb-2") / "codebooks.npy"
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match="altered"):
        publish(layout, "cb-2", "cb-1")
    with pytest.raises(ArtefactError, match="half-written"):
        publish(layout, "cb-3", "cb-1")
    with pytest.raises(ArtefactError, match="expected a codebook version"):
        publish(layout, "../cb-1", "cb-1")
    assert live_codebook(layout) == "cb-1"


def test_what_was_never_judged_or_is_collapsed_is_not_published(layout, write_codebook):
    write_codebook(layout, "cb-3", health={
        "collision_rate_contents": 0.9,
        "levels": [{"coverage": 0.9, "perplexity": 2.0, "perplexity_share": 0.01, "usable": 256, "used": 250}],
        "explained_variance": 0.9, "limits": {"min_level_1_perplexity": 0.3, "max_collision_rate_contents": 0.5}})
    with pytest.raises(DataError, match=r"level 1 perplexity is 2\.0.*90\.0% of different contents share"):
        publish(layout, "cb-3", None)
    folder = layout.codebook("cb-2")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["health"]["limits"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match="never judged"):
        publish(layout, "cb-2", None)
    assert live_now(layout) is None


def test_a_codebook_of_sizes_that_no_ranker_reads_is_not_published(layout, write_codebook):
    write_codebook(layout, "cb-8", levels=8)
    with pytest.raises(ConfigError, match="must be 4 x 256.*got 8 x 256"):
        publish(layout, "cb-8", None)
    assert live_now(layout) is None


def test_a_publisher_who_saw_another_live_codebook_is_told_which_one_won(layout):
    publish(layout, "cb-1", None)
    with pytest.raises(ArtefactError, match="cb-2 was not published: cb-1 became live meanwhile, where None was seen"):
        publish(layout, "cb-2", None)
    assert live_codebook(layout) == "cb-1"


def test_of_publishers_at_the_same_time_one_wins_and_the_other_says_so(layout):
    outcome = {}

    def publisher(version):
        seen = live_now(layout)
        together.wait()
        try:
            publish(layout, version, seen)
            outcome[version] = "won"
        except ArtefactError as fault:
            outcome[version] = str(fault)

    for turn in range(5):
        layout.live_codebook_file.unlink(missing_ok=True)
        together = threading.Barrier(2)
        threads = [threading.Thread(target=publisher, args=(version,)) for version in ("cb-1", "cb-2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        loser = "cb-1" if outcome["cb-2"] == "won" else "cb-2"
        winner = live_codebook(layout)
        assert outcome[winner] == "won", turn
        assert f"{winner} became live meanwhile" in outcome[loser], turn


def test_a_change_waits_for_the_one_under_way(layout):
    done = threading.Event()
    waiting = threading.Thread(target=lambda: (publish(layout, "cb-1", None), done.set()))
    with changing(layout):
        waiting.start()
        assert not done.wait(0.2)
        assert live_now(layout) is None
    waiting.join()
    assert live_codebook(layout) == "cb-1"


def test_a_full_disk_leaves_the_old_version_live_and_no_rest(layout, monkeypatch):
    publish(layout, "cb-1", None)

    def full(path, value):
        path.with_name(f".{path.name}.1").write_text("{")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(codebooks, "write_json", full)
    with pytest.raises(ArtefactError, match="No space left on device"):
        publish(layout, "cb-2", "cb-1")
    assert live_codebook(layout) == "cb-1"
    assert not list(layout.live_codebook_file.parent.glob(".live*"))


def test_no_live_codebook_says_what_to_run(tmp_path):
    with pytest.raises(ArtefactError, match="train_rqvae"):
        live_codebook(Layout(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{", '{"version": ""}', '{"version": 3}'])
def test_a_damaged_live_file_is_refused_holds_every_codebook_and_can_be_published_over(layout, text):
    layout.live_codebook_file.write_text(text)
    with pytest.raises(ArtefactError, match="must be JSON with a version"):
        live_codebook(layout)
    with pytest.raises(ArtefactError, match="must be JSON with a version"):
        retire(layout, "cb-1")
    publish(layout, "cb-2", live_now(layout))
    assert live_codebook(layout) == "cb-2"


def test_a_retired_codebook_is_gone_but_for_its_manifest_and_its_name_stays_taken(layout):
    publish(layout, "cb-2", None)
    for version in ("cb-1", "cb-2"):
        layout.candidate(version).checkpoint("gatesid", 1, "2026-11-22").mkdir(parents=True)
    retire(layout, "cb-1")
    retire(layout, "cb-1")
    assert not layout.codebook("cb-1").exists()
    assert [path.name for path in layout.candidate("x").home.parent.iterdir()] == ["cb-2"]
    assert [path.name for path in layout.codebook(".retired-cb-1").iterdir()] == ["manifest.json"]
    assert retired_versions(layout) == ["cb-1"]
    with pytest.raises(ArtefactError, match="was retired and its SIDs are still in the lake"):
        refuse_retired(layout, "cb-1")
    refuse_retired(layout, "cb-2")
    with pytest.raises(ArtefactError, match="half-written"):
        publish(layout, "cb-1", "cb-2")
    with pytest.raises(ArtefactError, match="no codebook cb-9"):
        retire(layout, "cb-9")


def test_nothing_in_use_is_retired_and_every_use_is_named(layout):
    home = layout.home
    write_manifest(home / "serving" / "ranker" / "2026112001", codebook_version="cb-1")
    write_manifest(home / "serving" / "ranker" / "2026112101", codebook_version="cb-2")
    for as_of, version in (("2026-11-20", "cb-2"), ("2026-11-21", "cb-1")):
        write_manifest(home / "checkpoints" / "gatesid-s1" / as_of, codebook_version=version)
    write_manifest(home / "checkpoints" / "base-s1" / "2026-11-21", codebook_version=None)
    runs = home / "runs" / "materialize"
    runs.mkdir(parents=True)
    for day, version, moment, rows in (("20", "cb-2", 1, {"semantic_ids": 5}), ("21", "cb-1", 2, {"semantic_ids": 5}),
                                       ("22", "cb-2", 3, {"items": 5})):
        run = {"codebook": version, "made_live_ms": moment, "rows": rows}
        (runs / f"2026-11-{day}.json").write_text(json.dumps(run))
    publish(layout, "cb-1", None)
    with pytest.raises(ArtefactError) as refused:
        retire(layout, "cb-1")
    assert ("cb-1 is in use and was not retired: it is live; served model serving/ranker/2026112001; newest checkpoint "
            "checkpoints/gatesid-s1/2026-11-21; the online store's SIDs (the last features.materialize). "
            ) in str(refused.value)
    with pytest.raises(ArtefactError, match="not retired: served model serving/ranker/2026112101. Publish"):
        retire(layout, "cb-2")
    assert layout.codebook("cb-1").exists()
    assert layout.codebook("cb-2").exists()


def test_an_export_that_is_not_served_holds_nothing_and_an_unreadable_manifest_holds_all(layout):
    write_manifest(layout.home / "models" / "gatesid" / "2026112001", codebook_version="cb-1")
    unreadable = layout.home / "serving" / "ranker" / "2026112101" / "manifest.json"
    write_manifest(unreadable.parent)
    unreadable.write_text("{")
    with pytest.raises(ArtefactError, match="is not JSON.*repair or delete"):
        retire(layout, "cb-1")
    unreadable.unlink()
    retire(layout, "cb-1")
    assert not layout.codebook("cb-1").exists()


@pytest.fixture
def killed(layout, tmp_path):
    """killed(verb, version): the homes of a change killed at each of its lines, the last one of the run that came through."""
    def run(verb, version):
        out = tmp_path / "killed"
        done = subprocess.run(
            [sys.executable, str(KILLED_AT_EACH_LINE), str(layout.home), str(out), verb, version], cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
        return [Layout(out / str(number)) for number in range(1, int(done.stdout) + 2)]

    return run


def test_a_publication_killed_at_any_line_leaves_the_old_version_live_or_the_new(layout, killed):
    publish(layout, "cb-1", None)
    homes = killed("publish", "cb-2")
    states = [live_codebook(home) for home in homes]
    assert len(states) > 40
    assert states == sorted(states)  # the old one, then from one line on the new one
    assert set(states) == {"cb-1", "cb-2"}
    for home in homes[-30:]:  # killed after the folder was verified: something may be half-written
        publish(home, "cb-2", live_now(home))
        assert live_codebook(home) == "cb-2"
        assert not list(home.live_codebook_file.parent.glob(".live*"))


def test_a_retirement_killed_at_any_line_leaves_the_whole_codebook_or_none(layout, killed):
    publish(layout, "cb-2", None)
    homes = killed("retire", "cb-1")
    there = [home.codebook("cb-1").exists() for home in homes]
    assert there == sorted(there, reverse=True)
    assert set(there) == {True, False}
    for home, whole in zip(homes, there, strict=True):
        assert live_codebook(home) == "cb-2"
        if whole:
            publish(home, "cb-1", "cb-2")  # verifies every byte
            publish(home, "cb-2", "cb-1")
        retire(home, "cb-1")
        assert not home.codebook("cb-1").exists()
        with changing(home):  # the next change removes what the killed one left
            assert [path.name for path in home.codebook(".retired-cb-1").iterdir()] == ["manifest.json"]
