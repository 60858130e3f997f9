"""Every disaster strikes a real stream, and not one row differs from the rebuild or from a count of the raw topic."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streaming.failure_matrix.cases import CASES

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.feast]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told():
    """What `python -m streaming.failure_matrix` printed: one run, a day of the stream's life for each case."""
    command = [sys.executable, "-m", "streaming.failure_matrix", "--events", "200", "--seed", "3"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


@pytest.mark.parametrize("case", CASES)
def test_no_row_differs(told, case):
    verdict = re.search(rf"^ok +([\d,]+) rows, 0 differing: {re.escape(case)}$", told, re.MULTILINE)
    assert verdict, told[-3_000:]
    assert int(verdict[1].replace(",", "")) > 0


def test_readers_see_what_was_published(told):
    assert "\nonline store: 0 items and users differ from what was published\n" in told
