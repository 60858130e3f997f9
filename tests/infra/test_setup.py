"""Set-up in a small copy of the checkout: nothing on an unfit machine, once on a fit one, nothing the second time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


# Stands for uv: makes the folder that uv would make, and notes what it was asked for.
UV = """#!/bin/sh
echo "$@" >> uv.log
if [ "$1" = venv ]; then for last; do :; done; mkdir -p "$last/bin"; fi
"""


@pytest.fixture
def checkout(tmp_path):
    for name in ("infra/setup.sh", "infra/env.sh", "infra/preflight.py", "infra/settings/local.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "requirements.txt").write_text("# one list\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "uv").write_text(UV)
    (tmp_path / "tools" / "uv").chmod(0o755)
    return tmp_path


def set_up(checkout, **environ):
    environ = {**os.environ, "PATH": f"{checkout / 'tools'}:{os.environ['PATH']}", **environ}
    command = ["bash", "infra/setup.sh", sys.executable]
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)


def test_an_unfit_machine_gets_no_environment(checkout):
    done = set_up(checkout, JAVA_HOME="/nowhere")
    assert done.returncode == 3
    assert "expected Java 17" in done.stderr
    assert not (checkout / "uv.log").exists()


def test_what_is_installed_is_the_hashed_list_and_nothing_else(checkout):
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr
    venv, install = (checkout / "uv.log").read_text().splitlines()
    assert venv.endswith("var/venv")
    assert "--no-deps --require-hashes -r requirements.txt" in install
    assert os.access(checkout / "var" / "venv" / "bin" / "gatesid", os.X_OK)


def test_a_second_run_installs_nothing_and_another_list_everything_anew(checkout):
    set_up(checkout)
    (checkout / "uv.log").unlink()
    assert set_up(checkout).returncode == 0
    assert not (checkout / "uv.log").exists()
    (checkout / "requirements.txt").write_text("# another list\n")
    set_up(checkout)
    assert len((checkout / "uv.log").read_text().splitlines()) == 2


def test_an_environment_that_was_left_half_made_is_made_again(checkout):
    (checkout / "var" / "venv" / "bin").mkdir(parents=True)
    (checkout / "var" / "venv" / "bin" / "leftover").touch()
    assert set_up(checkout).returncode == 0
    assert not (checkout / "var" / "venv" / "bin" / "leftover").exists()


def test_every_scratch_place_is_under_var(checkout):
    environ = {"GATESID_CHECKOUT": str(checkout), "PATH": os.environ["PATH"]}
    shown = subprocess.run(
        ["bash", "-c", ". infra/env.sh; env"], cwd=checkout, env=environ, capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in shown.splitlines())
    for name in ("TMPDIR", "XDG_CACHE_HOME", "UV_CACHE_DIR", "PYTHONPYCACHEPREFIX", "MPLCONFIGDIR", "AIRFLOW_HOME"):
        assert values[name].startswith(str(checkout / "var")), name
