import os

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from features.errors import ArtefactError
from features.layout import Layout
from features.names import TABLE_MATURITY_REBUILT
from features.snapshots import drop_snapshots, pin_snapshot

MIDNIGHT_MS = 1_767_225_600_000


def rows_of(folder):
    return sorted(sum((pq.ParquetFile(file).read().column("item_id").to_pylist() for file in folder.rglob("*.parquet")), []))


@pytest.fixture
def layout(tmp_path, write_maturity):
    write_maturity(tmp_path, ["a", "b"], [MIDNIGHT_MS, MIDNIGHT_MS + 10_000], [1, 2], [0, 1])
    write_maturity(tmp_path, ["c"], [MIDNIGHT_MS + 86_400_000], [3], [0])
    return Layout(tmp_path)


def test_a_snapshot_holds_exactly_the_files_of_its_version(layout):
    first, second = (rows_of(pin_snapshot(layout, TABLE_MATURITY_REBUILT, version)[0]) for version in (0, 1))
    assert (first, second) == (["a", "b"], ["a", "b", "c"])


def test_the_newest_version_is_pinned_by_default_and_named(layout):
    folder, version = pin_snapshot(layout, TABLE_MATURITY_REBUILT)
    assert (folder, version) == (layout.snapshot(TABLE_MATURITY_REBUILT, 1), 1)


def test_a_snapshot_costs_no_space_and_survives_a_replacement_and_a_vacuum(layout, tmp_path, write_maturity):
    folder, _ = pin_snapshot(layout, TABLE_MATURITY_REBUILT)
    assert all(os.stat(file).st_nlink == 2 for file in folder.rglob("*.parquet"))
    write_maturity(tmp_path, ["z"], [MIDNIGHT_MS], [9], [9], mode="overwrite")
    DeltaTable(layout.table(TABLE_MATURITY_REBUILT)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert rows_of(folder) == ["a", "b", "c"]
    assert rows_of(pin_snapshot(layout, TABLE_MATURITY_REBUILT)[0]) == ["z"]


def test_a_version_or_table_that_does_not_exist_is_named(layout):
    with pytest.raises(ArtefactError, match="no version 7"):
        pin_snapshot(layout, TABLE_MATURITY_REBUILT, 7)
    with pytest.raises(ArtefactError, match="no Delta table at .*user_history"):
        pin_snapshot(layout, "user_history")
    assert not list(layout.snapshot(TABLE_MATURITY_REBUILT, 0).parent.glob(".draft*"))


def test_only_the_newest_snapshots_are_kept(layout):
    for version in (0, 1):
        pin_snapshot(layout, TABLE_MATURITY_REBUILT, version)
    drop_snapshots(layout, TABLE_MATURITY_REBUILT, keep=1)
    assert [path.name for path in layout.snapshot(TABLE_MATURITY_REBUILT, 0).parent.iterdir()] == ["1"]
