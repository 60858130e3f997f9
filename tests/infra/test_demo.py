"""The demo's plan: its days, and how it goes on after it was killed."""

from dataclasses import replace
from datetime import date

import pytest

from features.errors import EnvironmentFault
from infra import demo, live_session
from infra.settings import load_settings


def plan(tmp_path):
    settings = load_settings({"GATESID_HOME": str(tmp_path)})
    return demo.Plan(replace(settings, data=replace(settings.data, history_days=10)), date(2026, 1, 11))


def test_history_ends_where_the_replay_begins(tmp_path):
    days = plan(tmp_path)
    assert (days.first, days.replay_from, days.today) == (date(2026, 1, 1), date(2026, 1, 9), date(2026, 1, 11))
    assert days.nights == [date(2026, 1, 10), date(2026, 1, 11)]


def test_a_killed_demo_goes_on_and_a_finished_one_starts_over(tmp_path):
    path = tmp_path / "progress.json"
    first = demo.Progress(path, "2026-01-11")
    assert first.finished_or_stale()
    first.done("Prepare", 3.0)
    killed = demo.Progress(path, "2026-01-11")
    assert not killed.finished_or_stale()
    assert killed.has("Prepare")
    assert not killed.has("Replay")
    killed.finish(9.0)
    assert demo.Progress(path, "2026-01-11").finished_or_stale()


def test_another_day_starts_over(tmp_path):
    begun = demo.Progress(tmp_path / "progress.json", "2026-01-11")
    begun.finished_or_stale()
    begun.done("Prepare", 1.0)
    assert demo.Progress(tmp_path / "progress.json", "2026-01-12").finished_or_stale()


def test_steps_that_start_the_stack_are_always_taken(tmp_path):
    progress = demo.Progress(tmp_path / "progress.json", "2026-01-11")
    progress.finished_or_stale()
    progress.done("Start Kafka, Valkey and Airflow", 1.0)
    assert not progress.has("Start Kafka, Valkey and Airflow")


def test_a_failing_command_says_which_and_that_the_demo_goes_on_there(capfd):
    with pytest.raises(EnvironmentFault, match="exit code 3.*goes on at this step"):
        demo.command("infra.report", "--as-of", "yesterday")
    assert "expects a UTC day" in capfd.readouterr().out


def test_the_new_items_place_is_found_in_a_reply():
    reply = {"items": [{"item_id": "a", "score": 0.3}, {"item_id": "new", "score": 0.2}]}
    assert live_session.find(reply, "new") == {"item_id": "new", "score": 0.2, "place": 2, "of": 2}
