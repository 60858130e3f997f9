"""A small lake, materialised into a real Valkey by the command; ids here have a prefix of their own."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features import materialize
from features.clock import FixedClock
from features.layout import Layout
from features.retrieval import FeatureStoreConfig, OnlineFeatures

pytestmark = pytest.mark.feast
DAY_MS = 86_400_000
AS_OF_MS = 1_767_312_000_000  # 2026-01-02
NOON_MS = AS_OF_MS - DAY_MS // 2


def moments(ms):
    return pa.array(np.asarray(ms, np.int64) * 1000).cast(pa.timestamp("us", tz="UTC"))


def write(home, name, partition, mode="append", **columns):
    write_deltalake(str(Layout(home).table(name)), pa.table(columns), partition_by=partition, mode=mode)


@pytest.fixture
def home(tmp_path, valkey, monkeypatch, write_maturity):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    monkeypatch.setenv("GATESID_VALKEY", valkey)
    write_maturity(tmp_path, ["m-a", "m-a", "m-a", "m-b"], [NOON_MS, NOON_MS + 10_000, AS_OF_MS + 10_000, NOON_MS],
                   [1, 2, 3, 9], [0, 1, 2, 4])
    write(tmp_path, "items", None, item_id=["m-a", "m-a", "m-a", "m-b"], title=["old", "new", "tomorrow's", None],
          published_at=moments([5, 6, 7, 8]), ingest_time=moments([NOON_MS, NOON_MS, AS_OF_MS, NOON_MS]),
          offset=pa.array([1, 2, 3, 0], pa.int64()))
    write(tmp_path, "semantic_ids", ["codebook_version"], item_id=["m-a", "m-b", "m-a", "m-none"],
          codes=pa.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9], [-1] * 4], pa.list_(pa.int32())),
          assigned_at=moments([1, 1, 1, 1]), codebook_version=["cb-1", "cb-1", "cb-2", "cb-1"])
    write(tmp_path, "user_history", ["ds"], user_id=["m-u", "m-u"], item_ids=[["m-b"], ["m-b", "m-a"]],
          event_times_ms=[[1], [1, 2]], event_ids=[["e1"], ["e1", "e2"]], ds=["2025-12-31", "2026-01-01"])
    return tmp_path


def run(*arguments, at=AS_OF_MS):
    clock = FixedClock(datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at))
    return materialize.main(["--as-of", "2026-01-02", *arguments], clock)


def test_the_store_holds_what_was_known_before_as_of(home, valkey, capsys):
    assert run("--codebook", "cb-1") == 0
    store = OnlineFeatures(FeatureStoreConfig(home, valkey))
    rows, takes = store.read_items(["m-a", "m-b", "m-none"]), store.read_user("m-u")
    assert rows.exposure_7d.tolist() == [2, 9, 0]
    assert rows.maturity_tick_ms.tolist() == [NOON_MS + 10_000, NOON_MS, -1]
    assert rows.titles.tolist() == ["new", "", ""]
    assert rows.published_at_ms.tolist() == [6, 8, -1]
    assert rows.codes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [-1] * 4]
    assert (takes.item_ids.tolist(), takes.event_times_ms.tolist(), takes.version_ms) == (["m-b", "m-a"], [1, 2], AS_OF_MS)

    manifest = json.loads(Path(capsys.readouterr().out.splitlines()[-1]).read_text())
    assert manifest["rows"] == {"semantic_ids": 2, "items": 2, "item_maturity_rebuilt": 2, "user_history": 1}
    assert manifest["reads"] == {"semantic_ids": 0, "items": 0, "item_maturity_rebuilt": 0, "user_history": 0}
    assert (manifest["as_of"], manifest["codebook"]) == ("2026-01-02", "cb-1")


def test_running_again_changes_nothing_and_another_codebook_takes_over(home, valkey):
    store = OnlineFeatures(FeatureStoreConfig(home, valkey))
    run("--codebook", "cb-1", at=AS_OF_MS + 1)
    first = store.read_items(["m-a", "m-b"])
    run("--codebook", "cb-1", at=AS_OF_MS + 2)
    second = store.read_items(["m-a", "m-b"])
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))
    run("--codebook", "cb-2", at=AS_OF_MS + 3)
    assert store.read_items(["m-a"]).codebook_version.tolist() == ["cb-2"]


def test_a_fresher_row_of_the_stream_is_left_alone(home, valkey):
    store = OnlineFeatures(FeatureStoreConfig(home, valkey))
    store.apply()
    store.push_maturity(["m-b"], [AS_OF_MS + 60_000], [77], [7])
    run("--codebook", "cb-1")
    assert store.read_items(["m-b"]).exposure_7d.tolist() == [77]


def test_a_codebook_without_sids_is_refused_with_the_job_to_run(home, capsys):
    assert run("--codebook", "cb-none") == 5
    assert "`semantic_ids` has no row for {'codebook': 'cb-none'}" in capsys.readouterr().err


def test_nothing_is_pushed_when_one_table_lacks_its_rows(home, valkey, capsys):
    run("--codebook", "cb-2", at=AS_OF_MS + 4)
    before = OnlineFeatures(FeatureStoreConfig(home, valkey)).read_items(["m-a"]).codebook_version
    assert materialize.main(["--as-of", "2026-01-09", "--codebook", "cb-1"]) == 5
    assert "`user_history` has no row for {'day': '2026-01-08'}" in capsys.readouterr().err
    after = OnlineFeatures(FeatureStoreConfig(home, valkey)).read_items(["m-a"]).codebook_version
    assert before.tolist() == after.tolist() == ["cb-2"]


def test_definitions_alone_can_be_deployed(tmp_path, monkeypatch, capsys, free_port):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    monkeypatch.setenv("GATESID_VALKEY", f"127.0.0.1:{free_port()}")
    assert materialize.main(["--apply-only"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "feast" / "registry.db")


def test_a_store_that_is_away_is_an_environment_fault(home, monkeypatch, capsys, free_port):
    monkeypatch.setenv("GATESID_VALKEY", f"127.0.0.1:{free_port()}")
    assert run("--codebook", "cb-1") == 3
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--as-of", "2026-01-02"], ["--codebook", "cb-1"]])
def test_usage_faults_end_with_two(arguments):
    with pytest.raises(SystemExit) as ended:
        materialize.main(arguments)
    assert ended.value.code == 2
