"""The log of served features: a real Delta table, what a row says, and that a request never waits for the lake."""

import threading
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from features.served_features import PER_CANDIDATE
from tests.serving.conftest import CODEBOOK, NOW_MS

pytestmark = pytest.mark.tf
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def model(exported):
    from serving.served_model import ServedModel

    return ServedModel.load(exported.model("tiny", 2026010101))


@pytest.fixture
def served(store, model):
    """served(request_id, candidates, user): a request as `rank` hands it over."""
    from serving.assemble import assemble, read_rows
    from serving.served_log import Served

    def make(request_id="r1", candidates=("i1", "i2"), user="u0", at_ms=NOW_MS, degraded=""):
        rows = read_rows(store, user, list(candidates), at_ms)
        return Served(request_id, at_ms + 7, model, rows, assemble(model, rows), degraded)
    return make


@pytest.fixture
def log(tmp_path):
    """log(**options): a log that is not started yet; what it says is in `told`."""
    from serving.served_log import ServedLog

    def make(**options):
        told = []
        made = ServedLog(tmp_path / "served_features", tell=told.append, **options)
        made.told = told
        return made
    return make


def rows_of(log):
    return sorted(DeltaTable(str(log.path)).to_pyarrow_table().to_pylist(), key=lambda row: row["request_id"])


def counted(log, outcome):
    return log.requests.labels(outcome)._value.get()


def test_a_row_says_what_the_model_was_given_and_where_it_came_from(log, served):
    with log() as kept:
        kept.add(served("r1", ["i5", "nobody", "i1"]))
        kept.add(served("r2", ["i3"], "stranger", degraded="model: UNAVAILABLE"))
    first, second = rows_of(kept)
    assert (first["request_id"], first["user_id"], first["ranker"], first["model_version"]) == ("r1", "u0", "tiny", 2026010101)
    assert (first["codebook_version"], first["degraded"], first["ds"]) == (CODEBOOK, "", "2026-01-01")
    assert [int(first[name].timestamp() * 1000) for name in ("served_at", "at")] == [NOW_MS + 7, NOW_MS]
    assert first["item_ids"] == ["i5", "nobody", "i1"]
    assert first["item_codes"] == [[5, 6, 7, 8], [-1] * 4, [1, 2, 3, 4]]
    assert (first["exposure_7d"], first["click_7d"], first["online_days"]) == ([50, 0, 10], [5, 0, 1], [5, 0, 1])
    assert first["maturity_tick_ms"] == [NOW_MS - 10_000, -1, NOW_MS - 10_000]
    assert (first["repeat_count"], first["repeat_age_days"]) == ([0, 0, 2], [-1, -1, 1])
    assert first["defaults"][0] == ""
    assert set(first["defaults"][1].split(",")) == {
        "item_row:unknown", "item_codes:missing", "item_stats:no_maturity", "item_stats:no_published_at"}
    assert (first["taken_item_ids"], first["history_item_ids"]) == (["i1", "i2", "i1"], ["i1", "i2"])
    assert first["taken_at_ms"] == [NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS]
    assert (first["history_codes"], first["history_version_ms"]) == ([[1, 2, 3, 4], [2, 3, 4, 5]], NOW_MS)
    assert (second["taken_item_ids"], second["history_codes"], second["history_version_ms"]) == ([], [], -1)
    assert second["degraded"] == "model: UNAVAILABLE"
    assert counted(kept, "logged") == 2


def test_the_log_holds_the_very_tensors_of_every_request(log, served, model):
    asked = [served(f"r{n}", [f"i{m}" for m in range(n, n + 1 + n % 7)], f"u{n % 12}") for n in range(30)]
    with log(flush_items=20) as kept:
        for one in asked:
            kept.add(one)
    for row, one in zip(rows_of(kept), sorted(asked, key=lambda one: one.request_id), strict=True):
        assert {len(row[name]) for name in PER_CANDIDATE} == {len(one.rows.candidates.item_ids)}
        stats = np.stack([row["online_days"], row["exposure_7d"], row["click_7d"]], axis=1)
        np.testing.assert_array_equal(stats, one.assembled.inputs["item_stats"])
        np.testing.assert_array_equal(row["item_codes"], one.assembled.inputs["item_codes"])


def test_rank_logs_an_answered_request_once(store, model, log):
    from features.clock import FixedClock, from_ms
    from serving.fault import ServingFault
    from serving.rank import RankingService

    def answer(inputs, *_):
        return SimpleNamespace(version=1, outputs={"ctr": np.zeros(len(inputs["item_row"]))})

    def refuse(*_):
        raise ServingFault("UNAVAILABLE", "away")
    with log() as kept:
        for name, predict in (("good", answer), ("bad", refuse)):
            service = RankingService(store, SimpleNamespace(current=model), SimpleNamespace(predict=predict),
                                     FixedClock(from_ms(NOW_MS)), served_log=kept)
            assert service.rank("u0", ["i1", "i1", "i9"], request_id=name).request_id == name
    bad, good = rows_of(kept)
    assert (good["item_ids"], good["degraded"]) == (["i1", "i9"], "")
    assert (bad["item_ids"], bad["degraded"]) == (["i1", "i9"], "model: UNAVAILABLE: away")


def test_a_full_buffer_drops_and_counts_and_nobody_waits(log, served):
    kept = log(kept_items=5)  # never started: nothing is appended
    for n in range(4):
        kept.add(served(f"r{n}"))
    assert (len(kept.waiting), kept.items, counted(kept, "dropped")) == (2, 4, 2)


def test_what_the_lake_refuses_waits_until_it_takes_it(log, served, monkeypatch):
    monkeypatch.setattr("serving.served_log.RETRY_SECONDS", 0.01)
    kept, tried, refuse = log(flush_items=1), threading.Event(), [True]
    table = kept.table

    def away():
        if refuse:
            tried.set()
            raise OSError("no space left")
        return table()
    kept.table = away
    with kept:
        kept.add(served("r1"))
        assert tried.wait(10)
        kept.add(served("r2"))
        refuse.clear()
    assert [row["request_id"] for row in rows_of(kept)] == ["r1", "r2"]
    assert "mend the lake" in kept.told[0]
    assert (kept.items, counted(kept, "dropped")) == (0, 0)


def test_a_lake_that_stays_away_is_given_up_at_the_end_and_counted(log, served, tmp_path):
    (tmp_path / "served_features").write_text("a file where the table should be")
    with log() as kept:
        kept.add(served("r1"))
    assert (counted(kept, "dropped"), counted(kept, "logged")) == (1, 0)
    assert "mend the lake" in kept.told[0]


def test_what_can_be_no_row_is_dropped_and_said(log, served):
    with log() as kept:
        kept.add(served("r\ud800"))
    assert counted(kept, "dropped") == 1
    assert "are no rows" in kept.told[0]


def test_several_writers_append_to_one_table(log, served):
    with log(flush_items=1) as one, log(flush_items=1) as other:
        for n in range(6):
            (one, other)[n % 2].add(served(f"r{n}"))
    assert [row["request_id"] for row in rows_of(one)] == [f"r{n}" for n in range(6)]


def test_a_share_of_the_requests_is_logged_by_their_id(log, served):
    kept = log(share=0.3)
    one = served()
    for n in range(1_000):
        kept.add(SimpleNamespace(request_id=f"r{n}", rows=one.rows))
    chosen = {row.request_id for row in kept.waiting}
    assert 230 < len(chosen) < 370
    again = log(share=0.3)
    again.add(SimpleNamespace(request_id=min(chosen), rows=one.rows))
    assert len(again.waiting) == 1


def test_a_table_of_the_lake_has_the_columns_of_the_contract(log, served):
    from features.served_features import served_schema

    with log() as kept:
        kept.add(served())
    found = pa.schema(DeltaTable(str(kept.path)).schema().to_arrow())
    assert found.names == served_schema().names
