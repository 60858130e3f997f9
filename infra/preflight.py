"""Is this machine fit? Python, Java, disk and ports, looked at before anything is downloaded; every fault at once.

    python3 infra/preflight.py          (the Makefile runs it with the system's Python)

Nothing but the standard library, and no syntax newer than Python 3.8: it must be able to complain about an old Python.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = (3, 11)
JAVA = 17
DISK_GB = 6.0  # environment, jars, the demo's state
STATE_GB = 2.0  # once the environment is there


def main() -> int:
    home = os.environ.get("GATESID_HOME", os.path.join(CHECKOUT, "var"))
    installed = os.path.isfile(os.path.join(CHECKOUT, "var", "venv", "requirements.sha256"))
    faults = [
        python_fault(sys.version_info[:2], has_module("ensurepip") or shutil.which("uv") is not None),
        java_fault(java_version()),
        disk_fault(free_gb(home), STATE_GB if installed else DISK_GB),
        home_fault(home),
    ]
    for note in port_notes(wished_ports(os.path.join(CHECKOUT, "infra", "settings", "local.toml"), os.environ)):
        print("note: " + note)
    found = [fault for fault in faults if fault]
    for fault in found:
        sys.stderr.write("fault: " + fault + "\n")
    if found:
        sys.stderr.write(f"{len(found)} fault{'s' * (len(found) > 1)}; nothing was downloaded or changed\n")
        return 3
    print(f"preflight: Python {PYTHON[0]}.{PYTHON[1]}, Java {java_version()}, {free_gb(home):.0f} GB free")
    return 0


def python_fault(version: tuple[int, int], can_make_environments: bool) -> str | None:
    if version != PYTHON:
        return (
            f"expected Python {PYTHON[0]}.{PYTHON[1]}, this is {version[0]}.{version[1]}: install it"
            " (Debian 12: apt-get install python3.11 python3.11-venv) and name it: make PYTHON=python3.11")
    if not can_make_environments:
        return "this Python cannot make virtual environments: apt-get install python3.11-venv, or install uv"
    return None


def has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def java_version() -> int | None:
    """The major version of the `java` that Spark and Kafka will run on; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    program = os.path.join(home, "bin", "java") if home else "java"
    try:
        done = subprocess.run(  # without the option Java leaves a file in the system's folder for temporary ones
            [program, "-XX:-UsePerfData", "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError:
        return None
    return parse_java_version(done.stdout.decode(errors="replace"))


def parse_java_version(text: str) -> int | None:
    """17 of `openjdk version "17.0.15"`, 8 of `java version "1.8.0_402"`."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def java_fault(version: int | None) -> str | None:
    if version is not None and version >= JAVA:
        return None
    seen = "none was found on PATH or in JAVA_HOME" if version is None else f"this is Java {version}"
    return f"expected Java {JAVA} or newer, {seen}: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"


def free_gb(path: str) -> float:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free / 1e9


def disk_fault(free: float, needed: float) -> str | None:
    if free >= needed:
        return None
    return (
        f"expected {needed:.0f} GB of free disk for the environment, jars and state, found {free:.1f} GB:"
        " free some, or set GATESID_HOME to a folder on another disk")


def home_fault(home: str) -> str | None:
    place = home
    while not os.path.exists(place):
        place = os.path.dirname(place)
    if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
        return None
    return f"the state folder {home} cannot be written: make {place} writable, or set GATESID_HOME to another folder"


def wished_ports(settings: str, environ: dict[str, str]) -> dict[str, int]:
    """[ports] of the settings file, read without a TOML library (Python 3.11 brought one, this must run on less)."""
    with open(settings) as file:
        section = re.search(r"^\[ports\]\n(.*?)(?=^\[|\Z)", file.read(), re.M | re.S)
    ports = {name: int(port) for name, port in re.findall(r"^(\w+)\s*=\s*(\d+)", section.group(1) if section else "", re.M)}
    return {name: int(environ.get("GATESID_PORTS__" + name.upper(), port)) for name, port in ports.items()}


def port_notes(ports: dict[str, int]) -> list[str]:
    """A taken port is no fault: the stack takes a free one instead."""
    return [
        f"port {port} ({name}) is taken; a free one will be used, and `gatesid status` shows which"
        for name, port in ports.items() if is_taken(port)]


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


if __name__ == "__main__":
    sys.exit(main())
