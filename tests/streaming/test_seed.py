"""A state seeded from the rebuild is the state of a consumer that lived through the history."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from features.artefacts import new_artefact
from features.errors import ArtefactError, StreamError
from features.windows import DEDUPE_HORIZON_MS, enter_tick, floor_hour, leave_tick
from streaming.config import StreamConfig
from streaming.seed import seed_histories, seed_state
from streaming.sinks import MemorySink
from streaming.state_store import Identity, MemoryStateStore
from streaming.user_history import UserHistories

T0, DAY_MS = 1_767_225_600_000, 86_400_000
AS_OF, AS_OF_MS = date(2026, 1, 3), T0 + 2 * DAY_MS


def write_state(config, events, rows, **other):
    """maturity_state/<as_of> of these events, computed in plain Python."""
    known = [e for e in events if e["ingest_ms"] < AS_OF_MS]
    first = list({e["event_id"]: e for e in reversed(known)}.values())
    counts, pending, seen, last = {}, [], {}, {}
    for e in first:
        at, ingest = np.int64(e["event_time_ms"]), np.int64(e["ingest_ms"])
        enter, leave = int(enter_tick(at, ingest)), int(leave_tick(at))
        if enter > AS_OF_MS:
            names = ("event_id", "event_type", "item_id", "event_time_ms")
            pending.append({k: e[k] for k in names} | {"ingest_time_ms": e["ingest_ms"]})
        elif leave > AS_OF_MS:
            pair = counts.setdefault((e["item_id"], int(floor_hour(at))), [0, 0])
            pair[e["event_type"] == "click"] += 1
    for e in known:
        if AS_OF_MS - e["ingest_ms"] <= DEDUPE_HORIZON_MS:
            seen[e["event_id"]] = {"event_id": e["event_id"], "item_id": e["item_id"], "last_seen_ms": e["ingest_ms"]}
    for item, tick, x, c in sorted(rows, key=lambda row: row[1]):
        if tick <= AS_OF_MS:
            last[item] = {"item_id": item, "tick_ms": tick, "exposure_7d": x, "click_7d": c}
    text, number = pa.string(), pa.int64()
    with new_artefact(config.layout.maturity_state(AS_OF.isoformat()), kind="maturity_state", as_of=AS_OF.isoformat(),
                      watermark_ms=AS_OF_MS, publish_interval_ms=10_000, **other) as draft:
        for name, found, schema in (
                ("hour_counts", [{"item_id": i, "hour_ms": h, "exposure": x, "click": c} for (i, h), (x, c) in counts.items()],
                 [("item_id", text), ("hour_ms", number), ("exposure", number), ("click", number)]),
                ("pending", pending, [("event_id", text), ("event_type", text), ("item_id", text), ("event_time_ms", number),
                                      ("ingest_time_ms", number)]),
                ("seen", list(seen.values()), [("event_id", text), ("item_id", text), ("last_seen_ms", number)]),
                ("last_rows", list(last.values()), [("item_id", text), ("tick_ms", number), ("exposure_7d", number),
                                                    ("click_7d", number)])):
            pq.write_table(pa.Table.from_pylist(found, schema=pa.schema(schema)), draft.path / f"{name}.parquet")


@pytest.fixture
def history(make_events):
    """Four days of events, some in the last tick before as_of, some ahead of their ingest time across it."""
    events = make_events(2_000, seed=9)
    edge = [{"event_id": f"edge{n}", "event_type": "impression", "user_id": "u", "item_id": f"i{n}",
             "event_time_ms": AS_OF_MS - 5_000 + ahead, "ingest_ms": AS_OF_MS - 5_000}
            for n, ahead in enumerate([0, 1, 60_000, 120_000])]
    return sorted([*events, *edge], key=lambda e: e["ingest_ms"])


@pytest.mark.kafka
@pytest.mark.parametrize("topic_holds_history", [False, True])
def test_seeded_is_lived(stream, history, truth_of, wait_until, topic_holds_history):
    until = T0 + 12 * DAY_MS
    truth = truth_of(history, until)
    write_state(stream.config, history, truth)
    before = [e for e in history if e["ingest_ms"] < AS_OF_MS]
    if topic_holds_history:
        stream.send(before, AS_OF_MS)
    store = stream.store()
    seeded = seed_state(stream.config, stream.broker, store, AS_OF, replace=False)
    assert seeded.partitions == [0, 1, 2, 3]
    stream.send([e for e in history if e["ingest_ms"] >= AS_OF_MS], until)
    sink = MemorySink()
    end = stream.start(stream.maturity(sink))
    expected = {row for row in truth if row[1] >= AS_OF_MS}
    assert any(row[1] == AS_OF_MS for row in expected)
    assert wait_until(lambda: len(sink.log) >= len(expected))
    end()
    assert sink.log == expected
    assert seed_state(stream.config, stream.broker, store, AS_OF, replace=False).partitions == []
    assert seed_state(stream.config, stream.broker, store, AS_OF, replace=True).partitions == [0, 1, 2, 3]
    assert store.load(0).position.watermark_ms == AS_OF_MS


class NoBroker:
    def offsets_at(self, topic, parts, when):
        return dict.fromkeys(parts, (-1, -1))

    def end_offsets(self, topic, parts):
        return dict.fromkeys(parts, 0)


@pytest.fixture
def offline(tmp_path):
    return StreamConfig(tmp_path, "nowhere:1", "redis://nowhere:1")


def seed(config):
    store = MemoryStateStore(Identity("c", "events", 4, config.interval_ms, config.dedupe_horizon_ms))
    return seed_state(config, NoBroker(), store, AS_OF, False)


def test_a_state_that_contradicts_itself_is_refused(offline, history, truth_of):
    wrong = {(item, tick, x + (item == "i7"), c) for item, tick, x, c in truth_of(history, AS_OF_MS)}
    write_state(offline, history, wrong)
    with pytest.raises(StreamError, match="1 items were last published with another pair .* i7"):
        seed(offline)


def test_a_state_of_other_ticks_or_none_at_all_is_refused(offline, history, truth_of, with_settings):
    with pytest.raises(ArtefactError):
        seed(offline)
    write_state(offline, history, truth_of(history, AS_OF_MS))
    with pytest.raises(StreamError, match="ticks of 10000 ms"):
        seed(with_settings(offline, interval_ms=60_000))


@pytest.mark.kafka
def test_histories_are_seeded_once(stream):
    rows = [{"user_id": "u", "item_ids": ["a", "b"], "event_times_ms": [T0, T0 + 1], "event_ids": ["e1", "e2"],
             "ds": "2026-01-02"},
            {"user_id": "v", "item_ids": [], "event_times_ms": [], "event_ids": [], "ds": "2026-01-02"},
            {"user_id": "u", "item_ids": ["x"], "event_times_ms": [T0], "event_ids": ["e9"], "ds": "2026-01-01"}]
    histories = UserHistories(stream.client, stream.config.group)
    with pytest.raises(ArtefactError, match="user_history"):
        seed_histories(stream.config, histories, AS_OF)
    write_deltalake(str(stream.config.layout.table("user_history")), pa.Table.from_pylist(rows), partition_by=["ds"])
    for _ in range(2):
        assert seed_histories(stream.config, histories, AS_OF) == 2
    assert histories.read(["u", "v"], 0)[1:] == ([["a", "b"], []], [[T0, T0 + 1], []])

