"""The jobs as commands: help, exit codes, spark-submit."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.names import TABLE_ITEM_INDEX
from tests.spark_jobs.conftest import event

ROOT = Path(__file__).resolve().parents[2]
JOBS = ("entity_index", "item_stats", "user_history", "co_click", "sid_assignment", "training_frame")


@pytest.mark.parametrize("job", JOBS)
def test_help_has_an_example_and_the_readme_names_the_command(job, capsys):
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(f"spark_jobs.{job}").main(["--help"])
    assert stopped.value.code == 0
    assert f"example: python -m spark_jobs.{job} --from" in capsys.readouterr().out
    assert f"python -m spark_jobs.{job}" in (ROOT / "spark_jobs" / "README.md").read_text()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--as-of", "yesterday"], "--as-of expects a UTC day"),
    (["--as-of", "2026-01-02", "--from", "2026-01-02"], "must be before --as-of")])
def test_a_bad_day_ends_with_exit_code_3_before_spark_starts(arguments, message, capsys):
    assert importlib.import_module("spark_jobs.item_stats").main(arguments) == 3
    assert message in capsys.readouterr().err


@pytest.mark.spark
def test_a_job_runs_by_spark_submit_and_leaves_its_manifest(home, delta_jars, tmp_path):
    home.add_items([("i1", "Oats", None, "01-01 00:00", None, "01-01 00:00")])
    home.add_events([event("a", "click", "u1", "i2", "01-01 10:00")])
    cwd = tmp_path / "elsewhere"
    cwd.mkdir()
    submit = [
        str(Path(sys.executable).with_name("spark-submit")), "--master", "local[1]", "--jars", ",".join(map(str, delta_jars)),
        "--driver-java-options", "-XX:TieredStopAtLevel=1", str(ROOT / "spark_jobs" / "entity_index.py"),
        "--as-of", "2026-01-03"]
    done = subprocess.run(submit, cwd=cwd, capture_output=True, text=True, check=False, env={
        **os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "GATESID_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "item_index@0"
    assert home.rows(TABLE_ITEM_INDEX, "item_id", "row") == [("i1", 2), ("i2", 3)]
    manifest = json.loads((tmp_path / "runs" / "entity_index" / "2026-01-03.json").read_text())
    assert manifest["reads"] == {"events": 0, "items": 0}
    assert manifest["writes"] == {"item_index": 0, "user_index": 0}
    assert manifest["rows"] == {"in": 1, "out": 3, "rejected": {}}
    assert manifest["config"]["environment"] == "local"
    assert {"contract_hash", "schema_hash", "code_version", "seconds"} <= manifest.keys()
    assert list(cwd.iterdir()) == []
