"""Fixtures that several rooms share."""

import json
import os
import socket
from pathlib import Path

import pytest

# Scratch that libraries write goes where all state goes.
ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / "var" / "hypothesis"))


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Numbers from an independent implementation; another folder of the same form by GOLDEN_DIR."""
    return Path(os.environ.get("GOLDEN_DIR", ROOT / "tests" / "golden"))


@pytest.fixture(scope="session")
def load_golden(golden_dir):
    """load_golden("gate") -> the cases of gate.json."""
    return lambda name: json.loads((golden_dir / f"{name}.json").read_text())["cases"]


@pytest.fixture(scope="session")
def free_port():
    """free_port() -> a loopback port nobody listens on."""
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]
    return find
