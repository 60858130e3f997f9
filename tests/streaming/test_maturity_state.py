"""The golden ticks, in any batching, with the state stored and loaded between batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.windows import HOUR_MS, WINDOW_MS, enter_tick, leave_tick, published_rows
from streaming import hour_counts, maturity_state
from streaming.decode import KINDS, Events
from streaming.maturity_state import MaturityState

LONG = 10**12  # the vectors repeat ids, and run ahead of their ingest time, further than the stream's door allows
T0 = 1_767_225_600_000


def event(event_id, item_id, event_ms, ingest_ms=None, event_type="impression"):
    return {"event_id": event_id, "event_type": event_type, "item_id": item_id, "user_id": "u", "event_time_ms": event_ms,
            "ingest_ms": event_ms if ingest_ms is None else ingest_ms}


def events_of(raw):
    return Events(
        np.arange(len(raw)), [e["event_id"] for e in raw], np.array([KINDS[e["event_type"]] for e in raw], np.int8),
        [e["user_id"] for e in raw], [e["item_id"] for e in raw], np.array([e["event_time_ms"] for e in raw], np.int64),
        np.array([e["ingest_ms"] for e in raw], np.int64), [None] * len(raw), [None] * len(raw))


class Run:
    """A partition played in batches; the state is stored and loaded again after each of them if `restart`."""

    def __init__(self, interval_ms=10_000, horizon_ms=LONG, restart=True):
        self.settings, self.restart = (interval_ms, horizon_ms), restart
        self.state, self.segments, self.rows = MaturityState(*self.settings), {}, []

    def play(self, raw, watermark_ms=None):
        applied = self.state.apply(events_of(raw), raw[-1]["ingest_ms"] if watermark_ms is None else watermark_ms)
        applied.changes.apply_to(self.segments)
        r = applied.rows
        self.rows += zip(r.item_id, r.tick_ms.tolist(), r.exposure_7d.tolist(), r.click_7d.tolist(), strict=True)
        if self.restart:
            self.state = MaturityState(*self.settings, self.segments, self.state.tick_ms)
        return applied

    def play_all(self, raw, until_ms, cuts):
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
            if start < end:
                self.play(raw[start:end])
        self.play([], until_ms)
        return sorted(self.rows, key=lambda row: (row[1], row[0]))


def expected_rows(case):
    rows = [(r["item_id"], r["tick_ms"], r["exposure_7d"], r["click_7d"]) for r in case["expected"]["rows"]]
    return sorted(rows, key=lambda row: (row[1], row[0]))


@pytest.mark.parametrize("restart", [False, True])
def test_golden_ticks_one_event_at_a_time(load_golden, restart):
    for case in load_golden("maturity_ticks"):
        given_ = case["inputs"]
        run = Run(given_["publish_interval_ms"], restart=restart)
        rows = run.play_all(given_["events"], given_["until_ms"], list(range(1, len(given_["events"]))))
        assert rows == expected_rows(case), case["name"]


def test_golden_ticks_all_at_once(load_golden):
    for case in load_golden("maturity_ticks"):
        given_ = case["inputs"]
        rows = Run(given_["publish_interval_ms"]).play_all(given_["events"], given_["until_ms"], [])
        assert rows == expected_rows(case), case["name"]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_golden_ticks_in_any_batching(load_golden, data):
    case = data.draw(st.sampled_from(load_golden("maturity_ticks")))
    given_ = case["inputs"]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(given_["events"])), max_size=8)))
    rows = Run(given_["publish_interval_ms"]).play_all(given_["events"], given_["until_ms"], cuts)
    assert rows == expected_rows(case)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_batching_duplicates_and_storage_never_change_a_row(data):
    steps = data.draw(st.lists(st.tuples(
        st.integers(0, 40 * HOUR_MS), st.integers(-WINDOW_MS - HOUR_MS, 5 * 60_000), st.integers(0, 3), st.booleans(),
        st.integers(0, 30)), min_size=1, max_size=40))
    raw, ingest = [], T0
    for wait, behind, item, click, number in steps:
        ingest += wait
        raw.append(event(f"e{number}", f"i{item}", ingest + behind, ingest, "click" if click else "impression"))
    first = list({e["event_id"]: e for e in reversed(raw)}.values())  # the first ingested wins
    until = ingest + 200 * HOUR_MS
    arrays = [np.array(column) for column in zip(*(
        (int(e["item_id"][1:]), e["event_type"] == "click", e["event_time_ms"], e["ingest_ms"]) for e in first), strict=True)]
    truth = published_rows(*arrays, until_ms=until)
    expected = sorted((f"i{i}", t, x, c) for i, t, x, c in zip(*(a.tolist() for a in truth), strict=True))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw)), max_size=6)))
    assert sorted(Run(restart=data.draw(st.booleans())).play_all(raw, until, cuts)) == expected


def test_a_repeat_is_forgotten_exactly_after_the_horizon():
    run = Run(horizon_ms=HOUR_MS)
    assert run.play([event("a", "i", T0)]).fresh.tolist() == [True]
    assert run.play([event("a", "i", T0 + HOUR_MS)]).fresh.tolist() == [False]
    assert run.play([event("b", "i", T0 + HOUR_MS), event("a", "i", T0 + 2 * HOUR_MS + 1)]).fresh.tolist() == [True, True]


def test_ids_and_hours_leave_the_stored_state_by_themselves():
    run = Run(horizon_ms=10 * HOUR_MS, restart=False)
    for hour in range(400):
        run.play([event(f"e{hour}-{n}", f"i{hour % 7}", T0 + hour * HOUR_MS + n) for n in range(5)])
        if hour == 200:
            settled = {name.split(":")[0]: 0 for name in run.segments} | {"count": len(run.segments)}
    assert len(run.segments) == settled["count"]
    assert len(run.state.seen) < 5 * 4 * 12


def test_late_click_is_counted_and_told():
    run = Run()
    run.play([event("a", "i", T0)])
    applied = run.play([event("b", "i", T0, T0 + 5 * HOUR_MS, "click")])
    assert applied.late == 1
    run.play([], T0 + 6 * HOUR_MS)
    assert run.rows[-1] == ("i", T0 + 5 * HOUR_MS + 10_000, 1, 1)


def test_orders_are_remembered_but_not_counted():
    run = Run()
    run.play([event("a", "i", T0, event_type="order"), event("a", "i", T0, event_type="click")])
    run.play([], T0 + HOUR_MS)
    assert run.rows == []


@pytest.mark.parametrize("restart", [False, True])
def test_summed_hours_and_renumbered_items_change_nothing(monkeypatch, restart):
    monkeypatch.setattr(hour_counts, "SUM_ABOVE", 10)
    monkeypatch.setattr(maturity_state, "RENUMBER_ABOVE", 20)
    rng = np.random.default_rng(5)
    ingest = T0 + np.cumsum(rng.integers(0, 1_200_000, 3000))
    times = ingest - rng.integers(0, 40 * HOUR_MS, 3000) * (rng.random(3000) < 0.1)
    items = np.arange(3000) // 40 + rng.integers(0, 10, 3000)
    clicks = rng.random(3000) < 0.3
    raw = [event(f"e{n}", f"i{items[n]}", int(times[n]), int(ingest[n]), "click" if clicks[n] else "impression")
           for n in range(3000)]
    run, until = Run(restart=restart), int(ingest[-1]) + 180 * HOUR_MS
    rows = run.play_all(raw, until, list(range(100, 3000, 100)))
    truth = published_rows(items, clicks, times, ingest, until_ms=until)
    assert sorted(rows) == sorted((f"i{i}", t, x, c) for i, t, x, c in zip(*(a.tolist() for a in truth), strict=True))
    assert len(run.state.item_ids) < len(set(items.tolist()))
    assert not run.state.active().any()


def test_an_event_counts_between_its_two_ticks():
    run = Run()
    run.play([event("a", "i", T0 + 61_000, T0)])
    run.play([], T0 + 400 * HOUR_MS)
    assert [(tick, x) for _, tick, x, _ in run.rows] == [
        (int(enter_tick(np.int64(T0 + 61_000), np.int64(T0))), 1), (int(leave_tick(np.int64(T0 + 61_000))), 0)]
