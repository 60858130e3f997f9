"""Checkpoint and index tables → a numbered model folder: `python -m serving.export`."""

import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.artefacts import new_artefact, read_manifest
from features.layout import Layout

pytestmark = pytest.mark.tf

AS_OF = "2026-01-01"


@pytest.fixture
def home(tmp_path, monkeypatch, tiny):
    """A state folder with indices that have grown since the tiny ranker was trained, and two checkpoints."""
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    layout = Layout(tmp_path)
    for table, column, letter, count in (("item_index", "item_id", "i", 60), ("user_index", "user_id", "u", 10)):
        rows = pa.table({column: [f"{letter}{n}" for n in range(count)], "row": pa.array(range(2, count + 2), pa.int32())})
        write_deltalake(layout.table(table), rows)
    manifest = {"codebook_version": "cb-2025-12-31", "labels": ["clicked"]}
    for seed in (1, 2):
        with new_artefact(layout.checkpoint("gatesid", seed, AS_OF), kind="checkpoint", seed=seed, **manifest):
            pass
    restored = SimpleNamespace(ranker=tiny(), config=None, manifest=manifest)
    monkeypatch.setitem(sys.modules, "model.checkpoints", SimpleNamespace(restore=lambda folder: restored))
    return layout


def export(*flags):
    from serving.export import main

    return main(["--ranker", "gatesid", "--as-of", AS_OF, *flags])


def test_last_line_is_the_version_and_the_folder_is_there(home, capsys):
    assert export("--seed", "1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2026010101"
    manifest = read_manifest(home.model("gatesid", 2026010101), kind="model", verify=True)
    assert {name: manifest[name] for name in ("version", "ranker", "seed", "as_of", "codebook_version", "labels")} == {
        "version": 2026010101, "ranker": "gatesid", "seed": 1, "as_of": AS_OF, "codebook_version": "cb-2025-12-31",
        "labels": ["clicked"]}
    assert manifest["checkpoint"]["path"] == "checkpoints/gatesid-s1/2026-01-01"
    assert manifest["read"] == {"item_index": 0, "user_index": 0}


def test_index_holds_only_the_rows_that_the_models_table_has(home):
    export("--seed", "1")
    # The table has 40 rows, 2 of them reserved; the index has 60 ids by now.
    assert read_manifest(home.model("gatesid", 2026010101))["rows"] == {"items": 38, "users": 10}


def test_same_checkpoint_again_is_the_same_version(home, capsys):
    export("--seed", "1")
    export("--seed", "1")
    assert capsys.readouterr().out.splitlines()[-1] == "2026010101"
    assert [path.name for path in (home.home / "models" / "gatesid").iterdir()] == ["2026010101"]


def test_another_checkpoint_of_the_day_gets_the_next_number_whatever_the_ranker(home, capsys):
    export("--seed", "1")
    home.model("gatesid", 2026010101).rename(home.home / "moved")
    (home.home / "models" / "base").mkdir()
    (home.home / "moved").rename(home.model("base", 2026010101))
    export("--seed", "2")
    assert capsys.readouterr().out.splitlines()[-1] == "2026010102"


def test_absent_checkpoint_is_refused_with_its_path(home, capsys):
    assert export("--seed", "9") == 5
    assert "gatesid-s9" in capsys.readouterr().err
    assert not (home.home / "models").exists()


def test_bad_day_is_bad_config(home, capsys):
    from serving.export import main

    assert main(["--ranker", "gatesid", "--as-of", "yesterday"]) == 3
    assert "expects a UTC day" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["export", "promote", "model_server", "ranking_api"])
def test_every_command_has_help_and_a_line_in_the_readme(command, capsys):
    from importlib import import_module
    from pathlib import Path

    with pytest.raises(SystemExit) as ended:
        import_module(f"serving.{command}").main(["--help"])
    assert ended.value.code == 0
    assert f"python -m serving.{command}" in capsys.readouterr().out
    assert f"python -m serving.{command}" in (Path(__file__).parents[2] / "serving" / "README.md").read_text()
