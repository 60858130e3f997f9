"""Every kind of golden case has a test that asks for it, in tests/golden and in the folder that GOLDEN_DIR names."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parent
SOURCES = {path: path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__)}


def kinds(folder):
    """(file, function) of every case; None: a composite, which its file's tests read whole."""
    return {(file.stem, case.get("function")) for file in folder.glob("*.json")
            for case in json.loads(file.read_text())["cases"]}


def readers(file, function):
    """The test files that load a golden file and name a function of it."""
    loads = re.compile(rf'(load_golden|golden)\("{file}"')
    return [path for path, text in SOURCES.items()
            if loads.search(text) and (function is None or f'"{function}"' in text or f".{function}(" in text)]


def test_every_kind_of_golden_case_is_asked_for_by_a_test(golden_dir):
    found = kinds(TESTS / "golden") | kinds(golden_dir)
    assert len(found) >= 30
    assert not [kind for kind in sorted(found, key=str) if not readers(*kind)]


def test_a_kind_without_a_test_would_be_noticed():
    assert not readers("gate", "gate_of_nobody")
    assert not readers("nothing", None)


@pytest.mark.parametrize("file", ["gated_infonce", "rqvae_losses", "smile_transfer_loss"])
def test_gradients_of_a_forgotten_stop_differ_from_the_right_ones_somewhere(golden_dir, file):
    """Else the tests that hold a layer against them would hold nothing."""
    cases = json.loads((golden_dir / f"{file}.json").read_text())["cases"]
    given = [case["gradients"] for case in cases if "wrong_if_stop_gradient_is_forgotten" in case.get("gradients", {})]
    tolerances = [np.abs(np.subtract(wrong, right := gradients["wrt"][path])).max() / (1e-4 * np.abs(right).max() + 1e-5)
                  for gradients in given for path, wrong in gradients["wrong_if_stop_gradient_is_forgotten"].items()]
    assert max(tolerances) > 100
