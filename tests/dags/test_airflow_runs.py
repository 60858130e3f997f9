"""A real Airflow on this checkout's DAGs; only the Python of its tasks is a stand-in, which notes what it is told."""

import stat
import sys
import time

import pytest

from features.errors import EnvironmentFault
from infra import airflow_runs
from infra.airflow_stack import airflow_environment, is_healthy
from infra.processes import running_process, wait_until
from infra.settings import load_settings

pytestmark = pytest.mark.airflow

# Notes its arguments, prints what the real command would print last, and fails where a file says so.
STAND_IN = """#!/bin/bash
line="${{*:2}}"
echo "$line" >> {notes}
while IFS=' ' read -r code words; do
  if [[ "$line" == *"$words"* ]]; then echo "the expectation failed, row 7"; exit "$code"; fi
done < {faults}
case "$2" in
  serving.export) echo {home}/models/gatesid/2026112101 ;;
  features.live_codebook) echo cb-1 ;;
  *) echo "$2-out" ;;
esac
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, free_port):
    """(settings, commands run so far, set_faults) of a running Airflow."""
    home = tmp_path_factory.mktemp("airflow")
    settings = load_settings({"GATESID_HOME": str(home), "GATESID_AIRFLOW": f"127.0.0.1:{free_port()}"})
    notes, faults, stand_in = home / "notes", home / "faults", home / "bin" / "python"
    notes.touch()
    faults.touch()
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(notes=notes, faults=faults, home=home))
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    environment = airflow_environment(settings)
    environment["GATESID_PYTHON"] = str(stand_in)
    log = home / "run" / "airflow.log"
    with running_process([sys.executable, "-m", "infra.airflow_standalone"], log, env=environment) as process:
        wait_until(lambda: is_healthy(settings), process, "airflow", log, 240)
        yield settings, lambda: notes.read_text().splitlines(), faults.write_text


def test_one_mined_day_becomes_a_promoted_model_by_way_of_the_assets(airflow):
    settings, commands, _ = airflow
    lines = []
    run_id = airflow_runs.trigger("co_click_mining", {"as_of": "2026-11-21"}, settings)
    airflow_runs.wait("co_click_mining", run_id, lines.append, settings)
    airflow_runs.wait_for_asset_run("nightly_sids", "2026-11-21", lines.append, settings)
    airflow_runs.wait_for_asset_run("incremental_train", "2026-11-21", lines.append, settings)
    ran = commands()
    assert ran[:3] == [
        "streaming watermark --at-least 2026-11-21", "spark_jobs.check --suite events --from 2026-11-20 --as-of 2026-11-21",
        "spark_jobs.co_click --from 2026-11-20 --as-of 2026-11-21"]
    assert "spark_jobs.sid_assignment --as-of 2026-11-21 --codebook cb-1" in ran
    rows = "spark_jobs entity_index item_stats user_history training_frame --from 2026-11-20 --as-of 2026-11-21"
    assert ran.index(rows) < ran.index("model.train_ranker --ranker base --from 2026-11-20 --as-of 2026-11-21")
    assert ran[-2:] == ["serving.export --ranker best --as-of 2026-11-21",
                        "serving.promote --ranker gatesid --version 2026112101"]
    assert any(line.startswith("incremental_train.promote") and "success" in line for line in lines)


def test_a_retrained_codebook_is_served_by_its_last_task(airflow):
    settings, commands, _ = airflow
    before = len(commands())
    run_id = airflow_runs.trigger("rqvae_retrain", {"as_of": "2026-11-21"}, settings)
    airflow_runs.wait("rqvae_retrain", run_id, settings=settings)
    ran, new = commands()[before:], "--codebook model.train_rqvae-out"
    assert ran[-4:] == [
        f"spark_jobs.check --suite semantic_ids --from 2026-11-20 --as-of 2026-11-21 {new}",
        f"model.train_ranker --ranker gatesid --from 2026-11-20 --as-of 2026-11-21 {new} --warm-start --candidate",
        "serving.export --ranker best --as-of 2026-11-21 --candidate model.train_rqvae-out",
        f"serving.switch --as-of 2026-11-21 {new} --ranker gatesid --version 2026112101 --instead-of cb-1"]


def test_a_failed_check_stops_everything_behind_it_without_a_retry(airflow):
    settings, commands, set_faults = airflow
    before = len(commands())
    set_faults("4 --suite semantic_ids\n")
    run_id = airflow_runs.trigger("nightly_sids", {"as_of": "2026-11-22"}, settings)
    with pytest.raises(airflow_runs.RunFailed, match="check_semantic_ids.*\n(.*\n)*.*the expectation failed, row 7"):
        airflow_runs.wait("nightly_sids", run_id, settings=settings)
    set_faults("")
    ran = [line.split()[0] for line in commands()[before:]]
    assert sorted(ran) == ["features.live_codebook", "spark_jobs.check", "spark_jobs.check", "spark_jobs.sid_assignment"]
    time.sleep(airflow_runs.POLL_S)
    assert airflow_runs.started_by_asset(airflow_runs.Airflow(settings), "incremental_train", "2026-11-22") is None


def test_a_run_that_has_not_ended_is_not_started_twice(airflow):
    settings, _, set_faults = airflow
    set_faults("1 --at-least 2026-11-10\n")  # the watermark asks again in five minutes
    first = airflow_runs.trigger("rebuild_maturity", {"as_of": "2026-11-10"}, settings)
    assert airflow_runs.trigger("rebuild_maturity", {"as_of": "2026-11-10"}, settings) == first
    set_faults("")


def test_an_unknown_dag_and_a_refused_value_are_said_so(airflow, monkeypatch):
    settings, _, _ = airflow
    monkeypatch.setattr(airflow_runs, "APPEAR_S", 1.0)
    with pytest.raises(EnvironmentFault, match="knows no DAG nonsense"):
        airflow_runs.trigger("nonsense", {}, settings)
    with pytest.raises(EnvironmentFault, match="as_of"):
        airflow_runs.trigger("bootstrap", {"as_of": "yesterday"}, settings)
    with pytest.raises(EnvironmentFault, match="no asset event for 2020-01-01 has started nightly_sids"):
        airflow_runs.wait_for_asset_run("nightly_sids", "2020-01-01", settings=settings)


def test_an_airflow_that_was_never_started_is_said_so(tmp_path):
    with pytest.raises(EnvironmentFault, match="no Airflow login"):
        airflow_runs.trigger("bootstrap", {}, load_settings({"GATESID_HOME": str(tmp_path)}))
