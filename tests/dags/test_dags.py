"""The DAGs as Airflow reads them: policy, order, assets, and the command lines they will run."""

import copy
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

PYTHON = "${GATESID_PYTHON:-python}"

pytestmark = pytest.mark.airflow
DAGS = Path(__file__).resolve().parents[2] / "dags"
NAMES = {"bootstrap", "co_click_mining", "nightly_sids", "incremental_train", "rqvae_retrain", "rebuild_maturity",
         "audit_features"}


@pytest.fixture(scope="module")
def bag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS), bundle_name="dags-folder")


@pytest.fixture(params=sorted(NAMES))
def dag(bag, request):
    return bag.dags[request.param]


def before(dag, task_id):
    """Every task that must have succeeded before this one."""
    return dag.get_task(task_id).get_flat_relative_ids(upstream=True)


def rendered(dag, task_id, **context):
    """The command line of a task as a run would execute it."""
    task = dag.get_task(task_id)
    results = {"export_best": "/home/models/gatesid/2026112201", "codebook": "cb-1"}
    pulled = SimpleNamespace(xcom_pull=lambda task_ids: results.get(task_ids, f"/home/{task_ids}-out"))
    environment = dag.get_template_env()
    params = {name: param.resolve() for name, param in dag.params.items()} | context.pop("params", {})
    return environment.from_string(task.bash_command).render(params=params, ti=pulled, **context)


def test_every_file_is_read_and_every_dag_is_there(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == NAMES


def test_every_dag_has_tags_one_run_at_a_time_no_catchup_and_triage_notes(dag):
    assert "gatesid" in dag.tags
    assert (dag.max_active_runs, dag.catchup, dag.is_paused_upon_creation) == (1, False, False)
    assert "### When it fails" in dag.doc_md
    assert re.search(r"^- `\w+`", dag.doc_md, re.MULTILINE)


def test_every_task_has_an_owner_and_two_retries_at_least(dag):
    assert {task.owner for task in dag.tasks} == {"ranking"}
    assert min(task.retries for task in dag.tasks) >= 2


def test_triage_notes_name_tasks_that_exist(dag):
    notes = dag.doc_md.split("### When it fails")[1]
    named = re.findall(r"^- ((?:`\w+`(?:, )?)+)", notes, re.MULTILINE)
    assert named
    assert {task for group in named for task in re.findall(r"`(\w+)`", group)} <= set(dag.task_ids)


def test_a_dag_file_computes_nothing(dag):
    """Thin: only airflow, names and this folder's policy are imported."""
    lines = re.findall(r"^(?:from|import) (\S+)", (DAGS / f"{dag.dag_id}.py").read_text(), re.MULTILINE)
    assert set(lines) <= {"airflow.sdk", "dags.policy"}


def test_nothing_is_published_before_its_check(bag):
    bootstrap, sids, train = (bag.dags[name] for name in ("bootstrap", "nightly_sids", "incremental_train"))
    assert {"check_events", "check_items"} <= before(bootstrap, "train_encoder") & before(bootstrap, "training_rows")
    assert {"check_semantic_ids", "training_rows"} <= before(bootstrap, "materialize")
    assert "check_training_frame" in before(bootstrap, "train_base") & before(bootstrap, "train_gatesid")
    assert {"check_items", "check_semantic_ids"} <= before(sids, "materialize")
    assert "materialize" in before(sids, "announce_semantic_ids")
    gates = {"check_events", "check_training_frame", "train_base", "train_gatesid", "evaluate", "export_best"}
    assert gates <= before(train, "promote")


def test_independent_branches_of_the_bootstrap_run_side_by_side(bag):
    bootstrap = bag.dags["bootstrap"]
    assert "training_rows" not in before(bootstrap, "train_rqvae")
    assert "train_rqvae" not in before(bootstrap, "training_rows")
    assert "train_gatesid" not in before(bootstrap, "train_base")
    assert {"train_base", "train_gatesid"} <= before(bootstrap, "evaluate")


def test_sids_start_on_pairs_and_training_on_sids(bag):
    def starts_on(name):
        return {asset.name for asset in getattr(bag.dags[name].timetable.asset_condition, "objects", ())}

    def makes(name):
        return {outlet.name for task in bag.dags[name].tasks for outlet in task.outlets}
    assert starts_on("nightly_sids") == makes("co_click_mining") == {"co_click_pairs"}
    assert starts_on("incremental_train") == makes("nightly_sids") == {"semantic_ids"}
    assert starts_on("audit_features") == makes("rebuild_maturity") | makes("nightly_sids")
    assert makes("rebuild_maturity") == {"item_maturity_rebuilt"}
    assert starts_on("bootstrap") == set()


def test_the_audit_covers_the_days_of_both_tables_it_waits_for(bag):
    events = {name: [SimpleNamespace(extra={"from": "2026-11-21", "as_of": "2026-11-22"})]
              for name in ("item_maturity_rebuilt", "semantic_ids")}
    line = rendered(bag.dags["audit_features"], "audit", triggering_asset_events=events)
    assert line == f"{PYTHON} -m features.audit --from 2026-11-21 --as-of 2026-11-22"


def test_daily_dags_wait_for_the_lake_first(bag):
    for name in ("co_click_mining", "rebuild_maturity"):
        assert bag.dags[name].roots[0].task_id == "watermark"
        assert len(bag.dags[name].roots) == 1


def test_a_run_by_hand_takes_its_days_from_its_conf(bag):
    line = rendered(bag.dags["bootstrap"], "co_click", params={"from": "2026-08-24", "as_of": "2026-11-20"})
    assert line == f"{PYTHON} -m spark_jobs.co_click --from 2026-08-24 --as-of 2026-11-20"


def test_a_scheduled_run_takes_the_day_it_was_scheduled_for(bag):
    at = datetime(2026, 11, 22, 0, 10, tzinfo=UTC)
    line = rendered(bag.dags["co_click_mining"], "co_click", data_interval_end=at)
    assert line.endswith("--from 2026-11-21 --as-of 2026-11-22")


def test_a_run_by_asset_takes_the_days_of_all_its_events(bag):
    """Two days that were mined faster than SIDs were given become one run over both."""
    days = [{"from": "2026-11-20", "as_of": "2026-11-21"}, {"from": "2026-11-21", "as_of": "2026-11-22"}]
    events = {"semantic_ids": [SimpleNamespace(extra=extra) for extra in days]}
    line = rendered(bag.dags["incremental_train"], "training_rows", triggering_asset_events=events)
    assert line == (f"{PYTHON} -m spark_jobs entity_index item_stats user_history training_frame "
                    "--from 2026-11-20 --as-of 2026-11-22")


def test_a_day_given_by_hand_wins_over_the_assets(bag):
    events = {"co_click_pairs": [SimpleNamespace(extra={"from": "2026-11-20", "as_of": "2026-11-21"})]}
    line = rendered(
        bag.dags["incremental_train"], "training_rows", params={"as_of": "2026-11-10"}, triggering_asset_events=events)
    assert line.endswith("--from 2026-11-09 --as-of 2026-11-10")


def test_a_run_without_any_day_says_what_it_needs(bag):
    with pytest.raises(ValueError, match="as_of.*YYYY-MM-DD"):
        rendered(bag.dags["bootstrap"], "co_click")


@pytest.mark.parametrize(("dag_id", "conf"), [
    ("bootstrap", {"as_of": "22.11.2026"}), ("bootstrap", {"as_of": "2026-11-22; rm -rf /"}),
    ("bootstrap", {"codebook": "$(id)"}), ("incremental_train", {"days": "7; id"})])
def test_a_value_that_could_reach_a_shell_is_refused(bag, dag_id, conf):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(bag.dags[dag_id].params)
    with pytest.raises(ParamValidationError):
        params.update(conf)


def test_a_given_codebook_replaces_its_training(bag):
    lines = [rendered(bag.dags["bootstrap"], task, params={"as_of": "2026-11-20", "codebook": "cb-old"})
             for task in ("train_encoder", "train_rqvae")]
    assert lines == ["echo cb-old", "echo cb-old"]


def test_a_codebook_is_trained_onward_from_the_live_one_unless_a_run_asks_for_a_cold_one(bag):
    retrain, day = bag.dags["rqvae_retrain"], {"as_of": "2026-11-22"}
    assert rendered(retrain, "train_encoder", params=day) == (
        f"{PYTHON} -m model.train_encoder --as-of 2026-11-22 --warm-start cb-1")
    assert rendered(retrain, "train_rqvae", params=day).endswith("--match-to cb-1 --warm-start cb-1")
    cold = [rendered(retrain, task, params=day | {"cold": True}).strip() for task in ("train_encoder", "train_rqvae")]
    assert cold[0].endswith("--as-of 2026-11-22")
    assert cold[1].endswith("--match-to cb-1")


def test_a_new_codebook_is_served_by_one_task_behind_everything_that_makes_it(bag):
    retrain, day = bag.dags["rqvae_retrain"], {"as_of": "2026-11-22"}
    assert before(retrain, "switch") == set(retrain.task_ids) - {"switch"}
    modules = [re.search(r"-m (\S+)", task.bash_command).group(1) for task in retrain.tasks]
    assert not {"features.materialize", "serving.promote", "model.registry"} & set(modules)
    assert rendered(retrain, "switch", params=day) == (
        f"{PYTHON} -m serving.switch --as-of 2026-11-22 --codebook train_rqvae-out --ranker gatesid --version 2026112201 "
        "--instead-of cb-1")
    assert rendered(retrain, "train_candidate", params=day).endswith(
        "--from 2026-11-21 --as-of 2026-11-22 --codebook train_rqvae-out --warm-start --candidate")


def test_results_are_handed_on(bag):
    train = bag.dags["incremental_train"]
    assert rendered(train, "promote") == f"{PYTHON} -m serving.promote --ranker gatesid --version 2026112201"
    assert rendered(train, "train_gatesid", params={"as_of": "2026-11-20"}).endswith("--codebook cb-1 --warm-start")


def test_the_evaluation_covers_the_settings_days_unless_a_run_says_otherwise(bag):
    dag, line = bag.dags["bootstrap"], f"{PYTHON} -m model.evaluate --as-of 2026-11-20"
    assert rendered(dag, "evaluate", params={"as_of": "2026-11-20"}).strip() == line
    assert rendered(dag, "evaluate", params={"as_of": "2026-11-20", "days": 7}) == f"{line} --days 7"


def test_every_command_names_a_module_of_this_checkout(dag):
    for task in dag.tasks:
        if task.task_type == "Command":
            module = re.search(r"-m (\S+)", task.bash_command).group(1)
            place = DAGS.parent / Path(*module.split("."))
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{task.task_id} runs {module}"
