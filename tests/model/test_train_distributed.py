"""Two workers in processes of their own, on loopback, against one."""

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from features.layout import Layout

pytestmark = pytest.mark.tf

ROOT = Path(__file__).resolve().parents[2]
DAYS = ["2026-01-01", "2026-01-02"]
AS_OF, ROWS, BATCH = "2026-01-03", 60, 59  # batches of 59 rows, shared 30 to 29, and of one, shared 1 to 0


@pytest.fixture
def lake(tmp_path, write_lake):
    layout = Layout(tmp_path / "home")
    write_lake(layout, DAYS, rows=ROWS)
    return layout


@pytest.fixture
def command(lake):
    """command(home) → the running command, two workers."""
    started = []

    def begin(home):
        asked = ["--workers", "2", "--ranker", "gatesid", "--from", DAYS[0], "--as-of", AS_OF, "--codebook", "cb-1",
                 "--seed", "1", "--batch-size", str(BATCH)]
        started.append(subprocess.Popen(
            [sys.executable, "-m", "model.train_distributed", *asked], cwd=ROOT, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=os.environ | {"GATESID_HOME": str(home)}))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def weights(folder):
    with np.load(folder / "weights.npz") as stored:
        return {name: stored[name] for name in stored.files}


def test_two_workers_come_to_the_weights_of_one(lake, command):
    from model.config import TrainConfig, preset
    from model.train_ranker import Job, run

    twin = Layout(lake.home.parent / "twin")
    twin.home.mkdir()
    (twin.home / "lake").symlink_to(lake.home / "lake")
    both = command(twin.home)
    one = Job(lake, preset("gatesid", "practical")[0], TrainConfig(batch_size=BATCH), seed=1,
              start=date.fromisoformat(DAYS[0]), as_of=date.fromisoformat(AS_OF), codebook="cb-1")
    alone = weights(run(one, say=lambda line: None))
    out, err = both.communicate(timeout=300)
    assert both.returncode == 0, err
    assert out.splitlines()[-1] == str(twin.checkpoint("gatesid", 1, AS_OF))
    together = weights(twin.checkpoint("gatesid", 1, AS_OF))
    assert together.keys() == alone.keys()
    for name, values in alone.items():
        np.testing.assert_allclose(together[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(alone["gatesid/items/table:0"]).max() > 1e-2, "the tables, zero at first, have moved"


def test_a_killed_worker_ends_the_run_and_is_named(lake, command):
    """start -> both workers ready -> the second is killed -> the first, which waits for its sums, is ended"""
    running, killed = command(lake.home), None
    for line in running.stdout:
        if line.startswith("worker 1 of 2"):
            killed = int(line.split()[-1])
        if line.startswith("gatesid s1 fresh"):
            os.kill(killed, signal.SIGKILL)
            break
    _, err = running.communicate(timeout=300)
    assert running.returncode == 3
    assert "worker 1 of 2 was killed by signal 9" in err
    assert "Give the same command again" in err
    assert not lake.checkpoint("gatesid", 1, AS_OF).exists()


def test_one_worker_is_refused_before_anything_is_started(lake, monkeypatch, capsys):
    from model.train_distributed import main

    monkeypatch.setenv("GATESID_HOME", str(lake.home))
    asked = ["--ranker", "base", "--as-of", AS_OF]
    assert main(["--workers", "1", *asked]) == 3
    assert "--workers must be at least 2, got 1" in capsys.readouterr().err


def test_a_worker_without_a_cluster_says_what_to_set(lake, monkeypatch, capsys):
    from model.train_worker import main

    monkeypatch.setenv("GATESID_HOME", str(lake.home))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert main(["--ranker", "base", "--as-of", AS_OF]) == 3
    assert "TF_CONFIG must hold the cluster's workers" in capsys.readouterr().err
