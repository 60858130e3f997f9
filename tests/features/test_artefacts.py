"""Folders are there whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from features import artefacts
from features.errors import ArtefactError


def write(target: Path) -> None:
    with artefacts.new_artefact(target, kind="codebook", as_of="2026-01-01") as draft:
        (draft.path / "a.txt").write_text("hello")
        (draft.path / "deep").mkdir()
        (draft.path / "deep" / "b.txt").write_text("world")
        draft.manifest["rows"] = 2


def test_a_written_folder_reads_back_with_its_files(tmp_path):
    write(tmp_path / "v1")
    manifest = artefacts.read_manifest(tmp_path / "v1", kind="codebook", verify=True)
    assert manifest["rows"] == 2
    assert set(manifest["files"]) == {"a.txt", "deep/b.txt"}
    assert [p.name for p in tmp_path.iterdir()] == ["v1"]


def test_a_failure_inside_leaves_nothing(tmp_path):
    def fail():
        with artefacts.new_artefact(tmp_path / "v1", kind="codebook") as draft:
            (draft.path / "a.txt").write_text("half")
            raise KeyError("halfway")
    with pytest.raises(KeyError, match="halfway"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_at_publication_leaves_nothing(tmp_path, monkeypatch):
    def no_space(path):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(artefacts, "sync", no_space)
    with pytest.raises(ArtefactError, match="was not published, nothing changed.*No space left"):
        write(tmp_path / "v1")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_artefact_and_the_next_one_succeeds(tmp_path):
    target = tmp_path / "v1"
    code = f"""
import time
from pathlib import Path
from features.artefacts import new_artefact
with new_artefact(Path({str(target)!r}), kind="codebook") as draft:
    (draft.path / "a.txt").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert child.stdout.readline() == b"written\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    with pytest.raises(ArtefactError, match="absent or half-written"):
        artefacts.read_manifest(target)
    write(target)
    assert artefacts.read_manifest(target)["rows"] == 2


def test_an_existing_folder_is_never_replaced(tmp_path):
    write(tmp_path / "v1")
    with pytest.raises(ArtefactError, match="exists and is immutable"):
        write(tmp_path / "v1")


def test_a_missing_an_altered_and_a_foreign_folder_are_refused(tmp_path):
    write(tmp_path / "v1")
    with pytest.raises(ArtefactError, match="expected a model"):
        artefacts.read_manifest(tmp_path / "v1", kind="model")
    (tmp_path / "v1" / "a.txt").write_text("jello")
    artefacts.read_manifest(tmp_path / "v1")
    with pytest.raises(ArtefactError, match="missing or altered"):
        artefacts.read_manifest(tmp_path / "v1", verify=True)
    (tmp_path / "v1" / "deep" / "b.txt").unlink()
    with pytest.raises(ArtefactError, match="missing or altered"):
        artefacts.read_manifest(tmp_path / "v1")
    (tmp_path / "v1" / "manifest.json").write_text("{")
    with pytest.raises(ArtefactError, match="is not JSON"):
        artefacts.read_manifest(tmp_path / "v1")


def test_a_small_json_file_is_replaced_at_once(tmp_path):
    path = tmp_path / "live.json"
    artefacts.write_json(path, {"version": "a"})
    artefacts.write_json(path, {"version": "b"})
    assert json.loads(path.read_text()) == {"version": "b"}
    assert [p.name for p in tmp_path.iterdir()] == ["live.json"]
