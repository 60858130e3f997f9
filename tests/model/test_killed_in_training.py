"""A training that is killed (SIGKILL, a real process) on every day at another moment ends with the bits of one that was not."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.layout import Layout

pytestmark = pytest.mark.tf

SCRIPT = Path(__file__).with_name("killed_in_training.py")
DAYS = [f"2026-01-0{n}" for n in range(1, 10)]
AS_OF = "2026-01-10"


def test_a_run_killed_at_any_moment_ends_with_the_bits_of_one_that_was_not(tmp_path, write_lake):
    from model.config import RankerConfig, TrainConfig
    from model.train_ranker import Job, run

    lake, killed = Layout(tmp_path / "unbroken"), Layout(tmp_path / "killed")
    write_lake(lake, DAYS)
    killed.home.mkdir()
    (killed.home / "lake").symlink_to(lake.home / "lake")
    done = subprocess.run([sys.executable, SCRIPT, killed.home, str(len(DAYS))], text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])})
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(DAYS) - 1, "one moment a day"
    run(Job(lake, RankerConfig(ranker="gatesid", hidden=(8,), user_width=4), TrainConfig(batch_size=16), 1,
            date.fromisoformat(DAYS[0]), date.fromisoformat(AS_OF), "cb-1", checkpoint_every=1), say=lambda line: None)
    checkpoints = [*DAYS[1:], AS_OF]
    for day in checkpoints:
        for file in ("weights.npz", "slots.npz"):
            both = [np.load(layout.checkpoint("gatesid", 1, day) / file) for layout in (killed, lake)]
            assert both[0].files == both[1].files
            assert [name for name in both[0].files if not np.array_equal(both[0][name], both[1][name])] == [], (day, file)
    for ds in DAYS:
        mine, theirs = (pq.read_table(layout.predictions("gatesid", 1) / f"{ds}.parquet") for layout in (killed, lake))
        assert mine.equals(theirs), ds
    assert sorted(path.name for path in killed.checkpoint("gatesid", 1, DAYS[0]).parent.iterdir()) == checkpoints
