"""kill -9 at every step of a batch; restart; not one row differs.

    poll → decode → apply ─┬─ commit ─┬─ push online ─ lake commit ─┬─ drop outbox ─┬─►
              before commit┘          └after commit   before┘ └after└after push     └after drop
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from deltalake import DeltaTable

from features.names import TABLE_MATURITY_LOG

pytestmark = pytest.mark.kafka
T0, DAY_MS = 1_767_225_600_000, 86_400_000
ROOT = Path(__file__).resolve().parents[2]
KILLS = [("before commit", 3), ("after commit", 2), ("before lake commit", 1), ("after lake commit", 1), ("after push", 1),
         ("after drop", 1), ("before commit", 1)]


def test_no_kill_loses_or_repeats_a_row(stream, make_events, truth_of, with_settings):
    events, until = make_events(6_000, seed=11), T0 + 12 * DAY_MS
    stream.send(events, until)
    config = with_settings(stream.config, batch_records=300)
    file = stream.config.home / "config.json"
    file.write_text(json.dumps(asdict(config), default=str))

    def run(step, number):
        command = [sys.executable, str(Path(__file__).with_name("crashing_consumer.py")), str(file), step, str(number)]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)

    for step, number in KILLS:
        done = run(step, number)
        assert done.returncode == -signal.SIGKILL, (step, done.stdout[-500:], done.stderr[-2_000:])
    done = run("never", 1)
    assert done.returncode == 0, done.stderr[-2_000:]
    table = DeltaTable(str(config.layout.table(TABLE_MATURITY_LOG))).to_pyarrow_table().to_pylist()
    rows = [(r["item_id"], int(r["tick"].timestamp() * 1000), r["exposure_7d"], r["click_7d"]) for r in table]
    assert len(rows) == len(set(rows))
    assert set(rows) == truth_of(events, until)
    assert all(stream.store().load(p).outbox == {} for p in range(4))
