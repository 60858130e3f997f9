"""The command on small Delta tables: it passes, or stops with exit code 4 and names what is wrong."""

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.layout import Layout
from spark_jobs.check import main

pytestmark = pytest.mark.gx

DAYS = ["2026-11-19", "2026-11-20"]
AS_OF = "2026-11-21"


def events(days=DAYS, users=4, shown=5):
    """Each user is shown 5 items a day at noon, and clicks the first."""
    rows = []
    for ds in days:
        noon = pd.Timestamp(f"{ds} 12:00", tz="UTC")
        for user in range(users):
            for place in range(shown):
                rows.append({"event_id": f"{ds}-{user}-{place}", "event_type": "impression", "item_id": f"i{place}",
                             "event_time": noon})
            rows.append({"event_id": f"{ds}-{user}-c", "event_type": "click", "item_id": "i0",
                         "event_time": noon + timedelta(seconds=5)})
            for row in rows[-shown - 1:]:
                row |= {"user_id": f"u{user}", "ds": ds, "ingest_time": row["event_time"]}
    return pd.DataFrame(rows).assign(source="history", partition=np.int32(-1), offset=lambda frame: np.arange(len(frame)))


def training_rows(logged):
    """A training row for each impression of user 0 and 1: a sample of user-days."""
    shown = logged[(logged.event_type == "impression") & logged.user_id.isin(["u0", "u1"])]
    return shown[["event_id", "user_id", "item_id", "event_time", "ds"]].reset_index(drop=True).assign(
        clicked=lambda frame: (frame.item_id == "i0").astype("int8"), ordered=np.int8(0), user_row=np.int32(2),
        item_row=np.int32(2),
        hour_of_day=np.int32(12), day_of_week=np.int32(3), history_rows=[[2, 3]] * len(shown), online_days=5, exposure_7d=9,
        click_7d=1,
        maturity_tick=lambda frame: frame.event_time - timedelta(hours=1), repeat_count=np.float32(0),
        repeat_age_days=np.float32(-1), served=False)


def items():
    born = pd.Timestamp("2026-10-01", tz="UTC")
    return pd.DataFrame({"item_id": [f"i{n}" for n in range(5)], "title": "Oats", "attributes": None, "published_at": born,
                         "ingest_time": born, "offset": range(5)}).assign(vector=None)


def sids(version="cb-1"):
    return pd.DataFrame({"item_id": [f"i{n}" for n in range(5)], "codes": [[1, 2, 3, n] for n in range(5)],
                         "assigned_at": pd.Timestamp("2026-11-20", tz="UTC"), "codebook_version": version})


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """lake(table, frame) writes a Delta table of the state folder that the command reads."""
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    layout = Layout(tmp_path)

    def write(name, frame):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        for column, kind in (("attributes", pa.string()), ("vector", pa.list_(pa.float32()))):
            if column in table.column_names:
                table = table.set_column(table.column_names.index(column), column, table[column].cast(kind))
        layout.table(name).parent.mkdir(exist_ok=True)
        write_deltalake(str(layout.table(name)), table, mode="append")
        return layout
    return write


def check(suite, *more):
    return main(["--suite", suite, "--from", DAYS[0], "--as-of", AS_OF, *more])


def test_good_tables_pass_every_suite_and_the_last_line_is_the_page(lake, capsys):
    layout = lake("events", events())
    lake("items", items())
    lake("semantic_ids", sids())
    lake("training_frame", training_rows(events()))
    for suite in ("events", "items", "semantic_ids", "training_frame"):
        assert check(suite) == 0, capsys.readouterr().err
        assert capsys.readouterr().out.strip() == str(
            layout.home / "data_docs" / suite / "gx/uncommitted/data_docs/local_site/index.html")
    manifest = json.loads(layout.run_manifest("check_training_frame", AS_OF).read_text())
    assert (manifest["ok"], manifest["reads"], manifest["rows"]) == (True, {"training_frame": 0, "events": 0}, {"in": 20})


def test_a_failed_suite_exits_with_4_and_names_expectation_column_and_rows(lake, capsys):
    bad = events()
    bad.loc[3, "event_type"] = "view"
    layout = lake("events", bad)
    assert check("events") == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert "expect_column_values_to_be_in_set on event_type: 1 of 48 rows" in said.err
    assert "'event_id': '2026-11-19-0-3'" in said.err
    assert "index.html" in said.err
    assert json.loads(layout.run_manifest("check_events", AS_OF).read_text())["ok"] is False


def test_only_the_days_asked_for_are_judged(lake):
    bad = events()
    bad.loc[bad.ds == DAYS[0], "event_type"] = "view"
    lake("events", bad)
    assert main(["--suite", "events", "--as-of", AS_OF]) == 0


def test_a_day_without_rows_fails(lake, capsys):
    lake("events", events())
    assert main(["--suite", "events", "--as-of", "2026-12-25"]) == 4
    assert "expect_table_row_count_to_be_between on the whole table" in capsys.readouterr().err


def test_a_training_frame_that_lost_an_impression_fails(lake, capsys):
    lake("events", events())
    lake("training_frame", training_rows(events()).drop(index=4))
    assert check("training_frame") == 4
    said = capsys.readouterr().err
    assert "expect_column_pair_values_to_be_equal on rows, impressions" in said
    assert "'user_id': 'u0'" in said


def test_a_training_row_that_the_log_does_not_have_fails(lake, capsys):
    lake("events", events())
    lake("training_frame", training_rows(events()).replace({"event_id": {"2026-11-19-0-3": "invented"}}))
    assert check("training_frame") == 4
    assert "is_known_impression" in capsys.readouterr().err


def test_an_impression_repeated_in_the_log_is_one_training_row(lake, capsys):
    """The repeat came the day before: the first ingested wins, so its row is that day's and not this one's."""
    logged = events()
    before = logged[(logged.ds == DAYS[0]) & (logged.event_id.str.endswith("-0-0"))].assign(offset=999)
    moved = timedelta(days=1)
    again = before.assign(ds=DAYS[1], ingest_time=before.ingest_time + moved)
    lake("events", pd.concat([logged, again], ignore_index=True))
    lake("training_frame", training_rows(logged))
    assert main(["--suite", "training_frame", "--as-of", AS_OF]) == 0, capsys.readouterr().err
    assert check("training_frame") == 0, capsys.readouterr().err


def test_an_item_without_a_sid_row_fails_and_is_named(lake, capsys):
    lake("items", items())
    lake("semantic_ids", sids().query("item_id != 'i3'"))
    assert check("semantic_ids", "--codebook", "cb-1") == 4
    assert "'item_id': 'i3'" in capsys.readouterr().err


def test_of_several_codebooks_one_must_be_chosen(lake, capsys):
    lake("semantic_ids", pd.concat([sids(), sids("cb-2")], ignore_index=True))
    assert check("semantic_ids") == 3
    assert "--codebook" in capsys.readouterr().err
    assert check("semantic_ids", "--codebook", "cb-2") == 0
    assert check("semantic_ids", "--codebook", "cb-9") == 4


def test_of_an_items_rows_the_newest_counts(lake):
    """The first record was broken and has been mended since."""
    old = items().iloc[[0]].assign(title="x" * 5_000)
    new = items().assign(ingest_time=lambda frame: frame.ingest_time + timedelta(days=1))
    lake("items", pd.concat([old, new], ignore_index=True))
    assert check("items") == 0


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["--suite", "events", "--as-of", AS_OF], 5, "no Delta table"),
    (["--suite", "events", "--from", AS_OF, "--as-of", AS_OF], 3, "must be before"),
    (["--suite", "events", "--as-of", "tomorrow"], 3, "YYYY-MM-DD"),
])
def test_a_run_that_cannot_be_says_why(lake, capsys, arguments, code, says):
    assert main(arguments) == code
    assert says in capsys.readouterr().err


def test_a_table_without_a_column_is_refused(lake, capsys):
    lake("events", events().drop(columns=["source", "offset"]))
    assert check("events") == 4
    assert "lacks source, offset" in capsys.readouterr().err
