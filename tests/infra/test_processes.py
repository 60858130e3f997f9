"""Processes are found again and ended, with their descendants; nothing else is."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import EnvironmentFault
from infra.processes import Process, is_running, members, new_token, start_process, stop_process, tail, wait_until

ROOT = Path(__file__).resolve().parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# A parent whose child leaves for a session of its own, as Airflow's and Spark's do.
FAMILY = [sys.executable, "-c", "import subprocess as s, sys, time; "
          "s.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); print('ready', flush=True); "
          "time.sleep(60)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
            "print('ready', flush=True); time.sleep(60)"]


def wait_for(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_stopped_process_takes_its_children_along_even_from_another_session(tmp_path):
    process = start_process(FAMILY, tmp_path / "log")
    wait_for(lambda: "ready" in (tmp_path / "log").read_text())
    assert len(members(process)) == 2
    stop_process(process)
    assert members(process) == []
    assert not is_running(process)


def test_children_that_outlived_their_parent_are_found_and_ended(tmp_path):
    process = start_process(FAMILY, tmp_path / "log")
    wait_for(lambda: "ready" in (tmp_path / "log").read_text())
    os.kill(process.pid, 9)
    wait_for(lambda: not is_running(process))
    assert len(members(process)) == 1
    stop_process(process)
    assert members(process) == []


def test_a_process_that_ignores_sigterm_is_killed(tmp_path):
    process = start_process(STUBBORN, tmp_path / "log")
    wait_for(lambda: "ready" in (tmp_path / "log").read_text())
    stop_process(process, grace_s=0.3)
    assert not is_running(process)


def test_a_reused_pid_is_not_taken_for_ours(tmp_path):
    bystander = start_process(SLEEP, tmp_path / "log")
    try:
        # What a table says that was written when the same pid belonged to another process.
        stale = replace(bystander, token=new_token(), started=bystander.started - 1)
        assert not is_running(stale)
        stop_process(stale)
        assert is_running(bystander)
    finally:
        stop_process(bystander)


def test_the_token_alone_finds_a_process_whose_pid_was_never_written_down(tmp_path):
    process = start_process(SLEEP, tmp_path / "log")
    unwritten = replace(process, pid=0, started=0)
    assert members(unwritten) == [process.pid]
    stop_process(unwritten)
    assert not is_running(process)


def test_what_a_killed_starter_left_behind_can_be_stopped_by_another(tmp_path):
    table = tmp_path / "table.json"
    script = (
        "import json, os; from dataclasses import asdict; from pathlib import Path; from infra.processes import start_process;"
        f"process = start_process({SLEEP!r}, Path({str(tmp_path / 'log')!r}));"
        f"Path({str(table)!r}).write_text(json.dumps(asdict(process))); os.kill(os.getpid(), 9)")
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode
    process = Process(**json.loads(table.read_text()))
    assert ended == -9
    assert is_running(process)
    stop_process(process)
    assert not is_running(process)


def test_a_program_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(EnvironmentFault, match="/nowhere/program"):
        start_process(["/nowhere/program"], tmp_path / "log")


def test_a_process_that_ends_early_is_reported_with_the_end_of_its_log(tmp_path):
    log = tmp_path / "log"
    process = start_process([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], log)
    with pytest.raises(EnvironmentFault, match="worker ended before it was ready(.|\n)*the reason"):
        wait_until(lambda: False, process, "worker", log, within_s=30)


def test_a_process_that_is_never_ready_is_given_up_in_time(tmp_path):
    process = start_process(SLEEP, tmp_path / "log")
    with pytest.raises(EnvironmentFault, match="not ready within 0 s"):
        wait_until(lambda: False, process, "worker", tmp_path / "log", within_s=0.2)
    stop_process(process)


def test_tail_shows_only_the_last_lines_and_says_when_there_is_no_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {n}" for n in range(100)))
    assert tail(log, 2) == "  line 98\n  line 99"
    assert tail(tmp_path / "none") == "  (no log)"
