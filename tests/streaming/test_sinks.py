"""One contract for every sink: a push may be repeated, in other pieces too, and then changes nothing."""

import numpy as np
import pytest
from deltalake import DeltaTable

from streaming.maturity_state import Rows
from streaming.outbox import Entry, decode_entry, encode_entry, join_rows, newest_per_item
from streaming.sinks import FeastPushSink, LakeSink, MemorySink

T0 = 1_767_225_600_000


def rows(*given):
    """(item, tick number, exposure, click) …"""
    return Rows([r[0] for r in given], np.array([T0 + 10_000 * r[1] for r in given]), np.array([r[2] for r in given]),
                np.array([r[3] for r in given]))


class OnlineByTheBook:
    """What features.retrieval.OnlineFeatures promises: the newer row stays."""

    def __init__(self):
        self.latest, self.frames = {}, []

    def push_maturity(self, item_ids, tick_ms, exposure_7d, click_7d):
        self.frames.append(list(item_ids))
        for item, *row in zip(item_ids, *(np.asarray(a).tolist() for a in (tick_ms, exposure_7d, click_7d)), strict=True):
            if row[0] > self.latest.get(item, (-1,))[0]:
                self.latest[item] = tuple(row)


class LogReader:
    """A LakeSink, read as a join would read it."""

    def __init__(self, path):
        self.path = path
        self.sink = LakeSink(path, "g", "events")

    def push(self, given):
        self.sink.push(given)

    @property
    def latest(self):
        table = DeltaTable(str(self.path)).to_pyarrow_table().sort_by("tick").to_pylist()
        return {r["item_id"]: (int(r["tick"].timestamp() * 1000), r["exposure_7d"], r["click_7d"]) for r in table}


@pytest.fixture(params=["memory", "feast", "lake"])
def sink(request, tmp_path):
    if request.param == "lake":
        return LogReader(tmp_path / "log")
    if request.param == "memory":
        return MemorySink()
    made = FeastPushSink(OnlineByTheBook())
    made.latest = made.online.latest
    return made


def test_the_newest_row_of_each_item_is_read(sink):
    sink.push({0: rows(("a", 1, 1, 0), ("a", 2, 2, 1)), 1: rows(("b", 1, 5, 0))})
    assert sink.latest == {"a": (T0 + 20_000, 2, 1), "b": (T0 + 10_000, 5, 0)}


def test_a_repeated_push_changes_nothing(sink):
    first = {0: rows(("a", 1, 1, 0), ("a", 3, 3, 0))}
    sink.push(first)
    sink.push({0: rows(("a", 1, 1, 0))})
    sink.push(first)
    sink.push({})
    assert sink.latest == {"a": (T0 + 30_000, 3, 0)}


def test_feast_gets_one_row_per_item_of_a_frame():
    online = OnlineByTheBook()
    FeastPushSink(online).push({0: rows(("a", 1, 1, 0), ("b", 1, 1, 0), ("a", 2, 2, 1))})
    FeastPushSink(online).push({})
    assert [sorted(frame) for frame in online.frames] == [["a", "b"]]


def test_the_log_gets_every_row_once_however_it_is_cut(tmp_path):
    sink = LakeSink(tmp_path / "log", "g", "events")
    sink.push({0: rows(("a", 1, 1, 0), ("b", 2, 1, 0)), 1: rows(("c", 9, 1, 0))})
    other = LakeSink(tmp_path / "log", "g", "events")  # after a crash, with other batches
    other.push({0: rows(("b", 2, 1, 0), ("a", 4, 2, 0)), 1: rows(("c", 9, 1, 0), ("c", 10, 2, 0))})
    sink.push({0: rows(("a", 4, 2, 0), ("a", 5, 3, 0))})
    found = DeltaTable(str(tmp_path / "log")).to_pyarrow_table().to_pylist()
    assert sorted((r["item_id"], int(r["tick"].timestamp() * 1000 - T0) // 10_000) for r in found) == [
        ("a", 1), ("a", 4), ("a", 5), ("b", 2), ("c", 9), ("c", 10)]
    assert {r["ds"] for r in found} == {"2026-01-01"}


def test_an_outbox_entry_survives_storage():
    entry = decode_entry(encode_entry(Entry(rows(("a", 1, 1, 0), ("ü", 2, 2, 1)), ["u1"])))
    assert (entry.rows.item_id, entry.users) == (["a", "ü"], ["u1"])
    assert entry.rows.tick_ms.tolist() == [T0 + 10_000, T0 + 20_000]
    assert encode_entry(Entry()) is None


def test_newest_per_item_of_joined_rows():
    newest = newest_per_item(join_rows([rows(("a", 1, 1, 0), ("a", 2, 2, 0)), rows(("b", 1, 7, 7))]))
    assert (newest.item_id, newest.exposure_7d.tolist()) == (["a", "b"], [2, 7])
