"""The demo's plan: its days, and how it goes on after it was killed."""

from dataclasses import replace
from datetime import date

import pytest

from features.artefacts import new_artefact
from features.errors import ArtefactError, DataError, EnvironmentFault
from infra import bootstrap_cache, demo, live_session
from infra.settings import load_settings

PLAN = ["shop", "2026-01-01", "2026-01-11"]


def prepared(tmp_path, first_day, as_of):
    settings = load_settings(
        {"GATESID_HOME": str(tmp_path), "GATESID_DATA__DATASET": "shop", "GATESID_DATA__HISTORY_DAYS": "30"})
    with new_artefact(settings.layout.dataset("shop"), kind="dataset", first_day=first_day, last_day="-", as_of=as_of):
        pass
    return settings


def test_history_ends_where_the_replay_begins(tmp_path):
    plan = demo.plan_of(prepared(tmp_path, "2026-01-01", "2026-01-11"))
    assert plan == demo.Plan("shop", date(2026, 1, 1), date(2026, 1, 11))
    assert plan.replay_from == date(2026, 1, 9)


def test_a_long_data_set_is_cut_to_its_last_days(tmp_path):
    assert demo.plan_of(prepared(tmp_path, "2025-01-01", "2026-01-31")).first == date(2026, 1, 1)


def test_too_few_days_and_an_unprepared_data_set_are_refused(tmp_path):
    with pytest.raises(ArtefactError, match="absent or half-written"):
        demo.plan_of(load_settings({"GATESID_HOME": str(tmp_path)}))
    with pytest.raises(DataError, match="at least 4 are needed"):
        demo.plan_of(prepared(tmp_path, "2026-01-08", "2026-01-11"))


def test_a_killed_demo_goes_on_and_a_finished_one_starts_over(tmp_path):
    path = tmp_path / "progress.json"
    first = demo.Progress(path, PLAN)
    assert first.nothing_to_resume()
    first.done("Load", 3.0)
    killed = demo.Progress(path, PLAN)
    assert not killed.nothing_to_resume()
    assert killed.has("Load")
    assert not killed.has("Replay")
    killed.finish(9.0)
    assert demo.Progress(path, PLAN).nothing_to_resume()


def test_another_plan_starts_over(tmp_path):
    begun = demo.Progress(tmp_path / "progress.json", PLAN)
    begun.nothing_to_resume()
    begun.done("Load", 1.0)
    assert demo.Progress(tmp_path / "progress.json", ["shop", "2026-01-02", "2026-01-12"]).nothing_to_resume()


def test_steps_that_start_the_stack_are_always_taken(tmp_path):
    progress = demo.Progress(tmp_path / "progress.json", PLAN)
    progress.nothing_to_resume()
    progress.done("Start Kafka, Valkey and Airflow", 1.0)
    assert not progress.has("Start Kafka, Valkey and Airflow")


def test_a_failing_command_says_which_and_that_the_demo_goes_on_there(capfd):
    with pytest.raises(EnvironmentFault, match="exit code 3.*goes on at this step"):
        demo.command("infra.report", "--as-of", "yesterday")
    assert "expects a UTC day" in capfd.readouterr().out


def test_the_new_items_place_is_found_in_a_reply():
    reply = {"items": [{"item_id": "a", "score": 0.3}, {"item_id": "new", "score": 0.2}]}
    assert live_session.find(reply, "new") == {"item_id": "new", "score": 0.2, "place": 2, "of": 2}


def test_what_a_bootstrap_made_is_put_back_for_the_same_data_days_settings_and_code(tmp_path, monkeypatch):
    settings = prepared(tmp_path, "2026-01-01", "2026-01-11")
    days = (date(2026, 1, 1), date(2026, 1, 9))
    name = bootstrap_cache.key(settings, *days)
    assert not bootstrap_cache.restore(settings, name)
    (tmp_path / "lake" / "items").mkdir(parents=True)
    (tmp_path / "lake" / "items" / "part").write_text("as the bootstrap left it")
    assert bootstrap_cache.keep(settings, name) is None
    (tmp_path / "lake" / "items" / "part").write_text("as a night left it")
    (tmp_path / "checkpoints").mkdir()
    assert bootstrap_cache.restore(settings, name)
    assert (tmp_path / "lake" / "items" / "part").read_text() == "as the bootstrap left it"
    assert not (tmp_path / "checkpoints").exists()


def test_a_full_disk_keeps_nothing_and_says_so(tmp_path, monkeypatch):
    settings = prepared(tmp_path, "2026-01-01", "2026-01-11")
    (tmp_path / "lake").mkdir()

    def full(source, target):
        target.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bootstrap_cache.shutil, "copytree", full)
    assert "No space left" in bootstrap_cache.keep(settings, "k")
    assert not bootstrap_cache.restore(settings, "k")
    assert not (tmp_path / "cache" / "bootstrap").exists()


def test_another_day_setting_row_or_line_of_code_is_another_bootstrap(tmp_path, monkeypatch):
    settings = prepared(tmp_path, "2026-01-01", "2026-01-11")
    days = (date(2026, 1, 1), date(2026, 1, 9))
    keys = {bootstrap_cache.key(settings, *days), bootstrap_cache.key(settings, date(2026, 1, 2), days[1])}
    keys.add(bootstrap_cache.key(replace(settings, training=replace(settings.training, seed=99)), *days))
    manifest = settings.layout.dataset("shop") / "manifest.json"
    manifest.write_text(manifest.read_text().replace("2026-01-11", "2026-01-12"))
    keys.add(bootstrap_cache.key(settings, *days))
    monkeypatch.setattr(bootstrap_cache, "ROOMS", ("dags",))
    keys.add(bootstrap_cache.key(settings, *days))
    assert len(keys) == 5
    elsewhere = replace(settings, addresses=replace(settings.addresses, kafka="127.0.0.1:1"))
    assert bootstrap_cache.key(elsewhere, *days) in keys
