"""The log of served features keeps its rows and loses its many files."""

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from features import compact_served
from features.layout import Layout


def test_a_day_of_appends_becomes_one_file_with_the_same_rows(tmp_path, monkeypatch, capsys):
    path = str(Layout(tmp_path).table("served_features"))
    for n in range(6):
        rows = pa.table({"request_id": [f"r{n}"], "ds": ["2026-01-01" if n < 4 else "2026-01-02"]})
        write_deltalake(path, rows, partition_by=["ds"], mode="append")
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    assert compact_served.main(["--as-of", "2026-01-02"]) == 0
    assert capsys.readouterr().out.strip() == "served_features@6"
    table = DeltaTable(path)
    assert sorted(table.to_pyarrow_table()["request_id"].to_pylist()) == [f"r{n}" for n in range(6)]
    assert sorted("01-01" in uri for uri in table.file_uris()) == [False, False, True]
    assert compact_served.main(["--as-of", "2026-01-02"]) == 0, "again changes nothing"
    assert DeltaTable(path).to_pyarrow_table().num_rows == 6


def test_a_lake_without_the_log_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    assert compact_served.main(["--as-of", "2026-01-02"]) == 5
    assert "served_features" in capsys.readouterr().err
