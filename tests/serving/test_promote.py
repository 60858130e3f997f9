"""Promotion: checked, atomic, and reversible."""

import errno
import json
import shutil

import pytest

from features.artefacts import read_manifest
from features.errors import ArtefactError, CodebookMismatch
from features.layout import Layout

pytestmark = pytest.mark.tf

FIRST, SECOND = 2026010101, 2026010102


@pytest.fixture
def layout(exported, tmp_path):
    """Two exports of the tiny ranker."""
    layout = Layout(tmp_path)
    for version in (FIRST, SECOND):
        shutil.copytree(exported.model("tiny", FIRST), layout.model("tiny", version))
    return layout


def test_promoted_copy_is_whole_and_equal(layout):
    from serving.promote import promote

    target = promote(layout, "ranker", "tiny", FIRST)
    assert target == layout.home / "serving" / "ranker" / str(FIRST)
    served, source = (read_manifest(folder, kind="model", verify=True) for folder in (target, layout.model("tiny", FIRST)))
    assert served == source


def test_promoting_twice_changes_nothing(layout):
    from serving.promote import promote

    target = promote(layout, "ranker", "tiny", FIRST)
    written = (target / "manifest.json").stat().st_mtime_ns
    assert promote(layout, "ranker", "tiny", FIRST) == target
    assert (target / "manifest.json").stat().st_mtime_ns == written


def test_older_version_is_refused_without_a_rollback(layout):
    from serving.promote import promote

    promote(layout, "ranker", "tiny", SECOND)
    with pytest.raises(ArtefactError, match="is newer than 2026010101 and serves.*--rollback"):
        promote(layout, "ranker", "tiny", FIRST)
    assert [path.name for path in (layout.serving / "ranker").iterdir()] == [str(SECOND)]


def test_repeating_an_earlier_promotion_leaves_the_newer_serving(layout):
    from serving.promote import promote

    for version in (FIRST, SECOND, FIRST):
        promote(layout, "ranker", "tiny", version)
    assert sorted(path.name for path in (layout.serving / "ranker").iterdir()) == [str(FIRST), str(SECOND)]


@pytest.mark.parametrize("promoted_before", [(SECOND,), (FIRST, SECOND)])
def test_rollback_withdraws_the_newer(layout, promoted_before):
    from serving.promote import promote

    for version in promoted_before:
        promote(layout, "ranker", "tiny", version)
    promote(layout, "ranker", "tiny", FIRST, rollback=True)
    assert [path.name for path in (layout.serving / "ranker").iterdir()] == [str(FIRST)]
    assert read_manifest(layout.model("tiny", SECOND))["kind"] == "model"


def test_scores_apart_from_the_golden_ones_are_refused(layout):
    from features.artefacts import Draft, publish
    from serving.promote import promote

    source = layout.model("tiny", FIRST)
    golden = source / "assets.extra" / "golden_requests.json"
    document = json.loads(golden.read_text())
    document["requests"][1]["expected"]["ctr"][0] += 0.01
    golden.write_text(json.dumps(document))
    manifest = json.loads((source / "manifest.json").read_text())
    (source / "manifest.json").unlink()
    moved = source.rename(source.with_name("moved"))
    publish(Draft(moved, manifest), source)
    with pytest.raises(ArtefactError, match="apart from the expected values"):
        promote(layout, "ranker", "tiny", FIRST)
    assert not layout.serving.exists()


def test_altered_export_is_refused(layout):
    from serving.promote import promote

    variables = layout.model("tiny", FIRST) / "variables" / "variables.data-00000-of-00001"
    content = bytearray(variables.read_bytes())
    content[7] ^= 1
    variables.write_bytes(content)
    with pytest.raises(ArtefactError, match="missing or altered"):
        promote(layout, "ranker", "tiny", FIRST)
    assert not layout.serving.exists()


@pytest.mark.parametrize("where", ["shutil.copyfile", "features.artefacts.write_json"])
def test_full_disk_publishes_nothing(layout, monkeypatch, where):
    from serving.promote import promote

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)
    with pytest.raises(ArtefactError, match="was not published, nothing changed: .*No space left"):
        promote(layout, "ranker", "tiny", FIRST)
    assert list((layout.serving / "ranker").iterdir()) == []


def test_model_of_another_codebook_than_the_live_one_is_refused(layout):
    from serving.promote import promote

    layout.live_codebook_file.parent.mkdir(parents=True)
    layout.live_codebook_file.write_text('{"version": "cb-2026-02-02"}')
    with pytest.raises(CodebookMismatch, match="trained on codebook cb-2026-01-01, live is cb-2026-02-02"):
        promote(layout, "ranker", "tiny", FIRST)
    assert not layout.serving.exists()


def test_model_of_another_contract_is_refused(export_tiny, tmp_path):
    from serving.promote import promote

    layout = Layout(tmp_path)
    export_tiny(layout.model("tiny", FIRST), contract_hash="0123456789ab")
    with pytest.raises(CodebookMismatch, match="input contract 0123456789ab"):
        promote(layout, "ranker", "tiny", FIRST)


def test_version_number_that_another_model_has_is_refused(layout, export_tiny):
    from serving.promote import promote

    promote(layout, "ranker", "tiny", FIRST)
    export_tiny(layout.model("other", FIRST), bias=1.0, ranker="other")
    with pytest.raises(ArtefactError, match=r"holds another model \(tiny\)"):
        promote(layout, "ranker", "other", FIRST)


def test_absent_export_ends_the_command_with_its_exit_code(tmp_path, monkeypatch, capsys):
    from serving.promote import main

    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    assert main(["--ranker", "base", "--version", "2026010199"]) == 5
    assert "absent or half-written" in capsys.readouterr().err
