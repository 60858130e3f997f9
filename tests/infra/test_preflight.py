"""Preflight names every fault and its remedy, before anything is downloaded."""

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra import preflight

ROOT = Path(__file__).resolve().parents[2]


def run(**environ):
    command = [sys.executable, "infra/preflight.py"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def test_missing_java_and_an_unwritable_home_are_reported_together_with_their_remedies(tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    done = run(JAVA_HOME=str(tmp_path), GATESID_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 3
    assert "expected Java 17 or newer, none was found" in done.stderr
    assert "apt-get install openjdk-17-jre-headless" in done.stderr
    assert f"{tmp_path / 'file' / 'home'} cannot be written" in done.stderr
    assert "2 faults; nothing was downloaded or changed" in done.stderr


@pytest.mark.parametrize(("text", "version"), [
    ('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_402"', 8), ('openjdk version "21" 2023-09-19', 21),
    ("bash: java: command not found", None),
])
def test_the_major_java_version_is_read(text, version):
    assert preflight.parse_java_version(text) == version


def test_an_old_java_is_a_fault_and_a_newer_one_is_not():
    assert "this is Java 11" in preflight.java_fault(11)
    assert preflight.java_fault(17) is None
    assert preflight.java_fault(21) is None


def test_another_python_is_a_fault_with_its_version():
    assert "expected Python 3.11, this is 3.12" in preflight.python_fault((3, 12), True)
    assert "python3.11-venv" in preflight.python_fault((3, 11), False)
    assert preflight.python_fault((3, 11), True) is None


def test_a_full_disk_is_a_fault_that_says_how_much_is_needed():
    assert "expected 6 GB of free disk" in preflight.disk_fault(1.25, 6.0)
    assert "found 1.2 GB" in preflight.disk_fault(1.25, 6.0)
    assert preflight.disk_fault(6.0, 6.0) is None


def test_a_disk_without_room_stops_the_set_up():
    done = run(GATESID_HOME="/proc")  # a file system with no free block
    assert done.returncode == 3
    assert "found 0.0 GB: free some, or set GATESID_HOME" in done.stderr


def test_a_taken_port_is_noted_and_no_fault():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = run(GATESID_PORTS__KAFKA=str(port))
    assert f"port {port} (kafka) is taken; a free one will be used" in done.stdout
    assert "kafka" not in done.stderr


def test_ports_are_read_as_the_settings_read_them():
    from infra.settings import load_settings

    assert preflight.wished_ports(str(ROOT / "infra" / "settings" / "local.toml"), {}) == vars(load_settings({}).ports)


def test_an_old_python_can_read_it():
    assert ast.parse((ROOT / "infra" / "preflight.py").read_text(), feature_version=(3, 8)).body
