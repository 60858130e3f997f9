import errno

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.artefacts import read_manifest
from features.clock import MS_PER_DAY
from features.errors import ArtefactError, DataError, SchemaError
from infra.datasets import prepared
from infra.datasets.prepared import EVENTS, ITEMS, EventFiles, publish, read_prepared, write_items

DAY = 20_000 * MS_PER_DAY  # 2024-10-04


def events(*times_ms, kind="impression"):
    return pa.Table.from_pylist([
        {"event_id": f"{kind}-{ms}", "event_type": kind, "user_id": "u", "item_id": "i", "event_time_ms": ms,
         "ingest_time_ms": ms}
        for ms in times_ms], schema=EVENTS)


def items(*ids):
    return pa.Table.from_pylist([{"item_id": one, "published_at_ms": DAY - n} for n, one in enumerate(ids)], schema=ITEMS)


def fill(folder):
    files = EventFiles(folder)
    files.write(events(DAY, DAY + 1))
    files.close()
    return {"labels": ["clicked"], **files.summary(), "items": write_items(folder, items("i"))}


def test_rows_are_split_by_the_utc_day_of_ingestion_across_tables(tmp_path):
    files = EventFiles(tmp_path)
    files.write(events(DAY, DAY + MS_PER_DAY - 1, DAY + MS_PER_DAY))
    files.write(events(DAY + MS_PER_DAY + 5, DAY + 3 * MS_PER_DAY, kind="click"))
    files.close()
    rows = {file.stem: pq.read_table(file).num_rows for file in (tmp_path / "events").iterdir()}
    assert rows == {"2024-10-04": 2, "2024-10-05": 2, "2024-10-07": 1}
    summary = files.summary()
    assert summary["rows"] == {"impression": 3, "click": 2, "order": 0}
    assert (summary["first_day"], summary["last_day"], summary["days"], summary["as_of"]) == ("2024-10-04", "2024-10-07", 4,
                                                                                              "2024-10-08")


def test_rows_out_of_ingest_order_are_refused(tmp_path):
    files = EventFiles(tmp_path)
    with pytest.raises(ValueError, match="order of ingest_time_ms"):
        files.write(events(DAY + 1, DAY))
    files.write(events(DAY + 1))
    with pytest.raises(ValueError, match="order of ingest_time_ms"):
        files.write(events(DAY))
    files.close()


def test_no_events_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no event is left"):
        EventFiles(tmp_path).summary()


def test_items_are_unique_and_ordered_by_publication(tmp_path):
    assert write_items(tmp_path, items("b", "a")) == 2
    assert pq.read_table(tmp_path / "items.parquet")["item_id"].to_pylist() == ["a", "b"]
    with pytest.raises(ValueError, match="unique"):
        write_items(tmp_path, items("a", "a"))


def test_a_rerun_with_equal_inputs_does_nothing(layout):
    folder, made = publish(layout, "shop", {"seed": 1}, fill)
    before = folder.resolve()
    again, made_again = publish(layout, "shop", {"seed": 1}, fill)
    assert (made, made_again) == (True, False)
    assert again.resolve() == before
    assert read_prepared(layout, "shop").manifest["made_from"]["seed"] == 1


def test_other_inputs_replace_the_data_set_and_a_reader_of_the_old_one_stays_whole(layout):
    folder, _ = publish(layout, "shop", {"seed": 1}, fill)
    first = read_prepared(layout, "shop")
    publish(layout, "shop", {"seed": 2}, fill)
    assert read_manifest(folder)["made_from"]["seed"] == 2
    assert read_manifest(first.folder, verify=True)["made_from"]["seed"] == 1
    publish(layout, "shop", {"seed": 3}, fill)
    assert not first.folder.exists(), "only one earlier version is kept"


def test_an_altered_version_is_made_again(layout):
    folder, _ = publish(layout, "shop", {}, fill)
    (folder / "items.parquet").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="missing or altered"):
        read_prepared(layout, "shop")
    _, made = publish(layout, "shop", {}, fill)
    assert made
    assert read_prepared(layout, "shop").manifest["items"] == 1


def test_a_full_disk_publishes_nothing_and_leaves_the_old_data_set(layout, monkeypatch):
    publish(layout, "shop", {"seed": 1}, fill)

    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(prepared.pq, "write_table", no_space)
    with pytest.raises(ArtefactError, match="No space left"):
        publish(layout, "shop", {"seed": 2}, fill)
    assert read_prepared(layout, "shop").manifest["made_from"]["seed"] == 1
    assert not list(layout.dataset("shop").parent.glob("**/.draft-*"))


def test_a_folder_of_someone_elses_is_not_replaced(layout):
    layout.dataset("shop").mkdir(parents=True)
    with pytest.raises(ArtefactError, match="move it away"):
        publish(layout, "shop", {}, fill)


def test_an_absent_data_set_says_how_to_make_it(layout):
    with pytest.raises(ArtefactError, match="prepare shop"):
        read_prepared(layout, "shop")


def test_files_of_other_columns_are_refused_with_every_fault(layout):
    def odd(folder):
        entries = fill(folder)
        pd.DataFrame({"item_id": ["i"], "published_at_ms": ["now"]}).to_parquet(folder / "items.parquet")
        return entries
    publish(layout, "shop", {}, odd)
    with pytest.raises(SchemaError, match=r"title is missing.*published_at_ms is (large_)?string, expected int64"):
        read_prepared(layout, "shop")
