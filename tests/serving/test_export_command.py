"""Checkpoint and index tables → a numbered model folder: `python -m serving.export`."""

import json
import shutil

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.artefacts import new_artefact, read_manifest
from features.layout import Layout

pytestmark = pytest.mark.tf

AS_OF = "2026-01-01"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two real checkpoints of a GateSID ranker with 40 item rows and 12 user rows."""
    import model  # noqa: F401  (chooses the Keras version)
    from model.checkpoints import fresh_ranker, save
    from model.config import RankerConfig, TrainConfig
    from model.rankers.trunk import TableSizes

    layout = Layout(tmp_path_factory.mktemp("trained"))
    training = TrainConfig(labels=("clicked",))
    for seed in (1, 2):
        ranker = fresh_ranker(RankerConfig(ranker="gatesid"), TableSizes(items=40, users=12), seed)
        save(layout.checkpoint("gatesid", seed, AS_OF), ranker, ranker.optimiser(training), codebook="cb-2025-12-31",
             progress=[], as_of=AS_OF, seed=seed, training=training.to_json(), reads={"item_index": 0, "user_index": 0}, rows=0)
    return layout.home / "checkpoints"


@pytest.fixture
def home(tmp_path, monkeypatch, checkpoints):
    """A state folder with the checkpoints and indices, of which the items' has grown since the training."""
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    layout = Layout(tmp_path)
    for table, column, letter, count in (("item_index", "item_id", "i", 38), ("user_index", "user_id", "u", 10)):
        rows = pa.table({column: [f"{letter}{n}" for n in range(count)], "row": pa.array(range(2, count + 2), pa.int32())})
        write_deltalake(layout.table(table), rows)
    later = pa.table({"item_id": ["born-later"], "row": pa.array([40], pa.int32())})
    write_deltalake(layout.table("item_index"), later, mode="append")
    shutil.copytree(checkpoints, layout.home / "checkpoints")
    return layout


def export(*flags):
    from serving.export import main

    return main(["--ranker", "gatesid", "--as-of", AS_OF, *flags])


def test_last_line_is_the_folder(home, capsys):
    assert export("--seed", "1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(home.home / "models" / "gatesid" / "2026010101")
    manifest = read_manifest(home.model("gatesid", 2026010101), kind="model", verify=True)
    assert {name: manifest[name] for name in ("version", "ranker", "seed", "as_of", "codebook_version", "labels")} == {
        "version": 2026010101, "ranker": "gatesid", "seed": 1, "as_of": AS_OF, "codebook_version": "cb-2025-12-31",
        "labels": ["clicked"]}
    assert manifest["checkpoint"]["path"] == "checkpoints/gatesid-s1/2026-01-01"
    assert manifest["reads"] == {"item_index": 0, "user_index": 0}


def test_index_is_the_one_the_model_was_trained_with(home):
    from serving.entity_index import ITEM_FILE, EntityIndex

    export("--seed", "1")
    folder = home.model("gatesid", 2026010101)
    assert read_manifest(folder)["rows"] == {"items": 38, "users": 10}
    assert "born-later" not in EntityIndex.load(folder / ITEM_FILE).ids


def test_index_version_that_is_gone_is_refused_and_nothing_is_written(home, capsys):
    shutil.rmtree(home.table("user_index"))
    assert export("--seed", "1") == 5
    assert "user_index cannot be read at version 0" in capsys.readouterr().err
    assert not home.model("gatesid", 2026010101).exists()


def test_same_checkpoint_again_is_the_same_version(home, capsys):
    export("--seed", "1")
    export("--seed", "1")
    assert capsys.readouterr().out.splitlines()[-1].endswith("/2026010101")
    assert [path.name for path in (home.home / "models" / "gatesid").iterdir()] == ["2026010101"]


def test_another_checkpoint_of_the_day_gets_the_next_number_whatever_the_ranker(home, capsys):
    export("--seed", "1")
    home.model("gatesid", 2026010101).rename(home.home / "moved")
    (home.home / "models" / "base").mkdir()
    (home.home / "moved").rename(home.model("base", 2026010101))
    export("--seed", "2")
    assert capsys.readouterr().out.splitlines()[-1].endswith("/2026010102")


def test_absent_checkpoint_is_refused_with_its_path(home, capsys):
    assert export("--seed", "9") == 5
    assert "gatesid-s9" in capsys.readouterr().err
    assert not (home.home / "models").exists()


def evaluation(layout, **gauc):
    """An evaluation of the day with these figures; None where no user has both labels. AUC prefers base."""
    rankers = {name: {"gauc": {"mean": value, "sd": None}, "auc": {"mean": 0.6 - 0.1 * (name == "gatesid"), "sd": None}}
               for name, value in gauc.items()}
    with new_artefact(layout.report(f"evaluation-{AS_OF}"), kind="evaluation") as draft:
        (draft.path / "evaluation.json").write_text(json.dumps({"slices": {"ctr": {"all": {"rankers": rankers}}}}))


def test_best_is_the_ranker_with_the_higher_gauc(home, capsys):
    from serving.export import main

    evaluation(home, base=0.61, gatesid=0.64)
    assert main(["--ranker", "best", "--as-of", AS_OF]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("/models/gatesid/2026010101")


def test_best_goes_by_auc_where_there_is_no_gauc(home):
    from serving.best_ranker import best_ranker

    evaluation(home, base=None, gatesid=None)
    assert best_ranker(home, AS_OF) == "base"


def test_best_without_an_evaluation_is_refused(home, capsys):
    from serving.export import main

    assert main(["--ranker", "best", "--as-of", AS_OF]) == 5
    assert "evaluation-2026-01-01" in capsys.readouterr().err


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
