"""Replay in virtual time: what is in the log, once, whatever was there before."""

import io
from datetime import date

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.artefacts import new_artefact
from features.errors import ArtefactError, StreamError
from streaming.decode import HEARTBEAT_VALUE
from streaming.heartbeat import write_heartbeat
from streaming.kafka_io import TopicPart, read_range
from streaming.replay import Replay, wire_events
from streaming.send import lines_from

pytestmark = pytest.mark.kafka
T0, DAY_MS = 1_767_225_600_000, 86_400_000
D0, D4 = date(2026, 1, 1), date(2026, 1, 5)


@pytest.fixture
def dataset(stream, make_events):
    """A prepared data set of four days in the stream's home; its events."""
    events = make_events(800)
    with new_artefact(stream.config.layout.dataset("tiny"), kind="dataset") as draft:
        (draft.path / "events").mkdir()
        for day in range(4):
            mine = [e | {"ingest_time_ms": e["ingest_ms"], "request_id": None, "context": '{"a": 1}'} for e in events
                    if T0 + day * DAY_MS <= e["ingest_ms"] < T0 + (day + 1) * DAY_MS]
            pq.write_table(pa.Table.from_pylist(mine), draft.path / "events" / f"2026-01-0{day + 1}.parquet")
        items = [{"item_id": f"i{n}", "title": f"Item {n}", "attributes": '{"a": "b"}', "vector": None,
                  "published_at_ms": T0 + (n - 2) * DAY_MS} for n in range(8)]
        pq.write_table(pa.Table.from_pylist(items, schema=pa.schema([
            ("item_id", pa.string()), ("title", pa.string()), ("attributes", pa.string()), ("vector", pa.list_(pa.float32())),
            ("published_at_ms", pa.int64())])), draft.path / "items.parquet")
    return events


def play(stream, start=D0, as_of=D4, live=False, speed=None):
    return Replay(stream.config, stream.broker, stream.producer, speed, lambda line: None).run("tiny", start, as_of, live)


def log_of(stream, topic):
    """Per partition [(time, value)]."""
    ends = stream.broker.end_offsets(topic, range(4))
    return {p: [(t, v) for r in read_range(stream.config.bootstrap, TopicPart(topic, p), 0, end)
                for t, v in zip(r.time_ms.tolist(), r.value, strict=True)] for p, end in ends.items()}


def test_a_replay_is_the_data_set_in_virtual_time(stream, dataset):
    done = play(stream)
    assert (done.events, done.items, done.live) == (800, 4, False)
    log = log_of(stream, stream.config.events_topic)
    beats = [[t for t, v in records if v == HEARTBEAT_VALUE] for records in log.values()]
    assert beats == [[T0 + d * DAY_MS for d in (1, 2, 3, 4)]] * 4
    sent = [(t, msgspec.json.decode(v)) for records in log.values() for t, v in records if v != HEARTBEAT_VALUE]
    assert sorted((t, e["event_id"]) for t, e in sent) == sorted((e["ingest_ms"], e["event_id"]) for e in dataset)
    assert all(e["context"] == {"a": 1} and "request_id" not in e for _, e in sent)
    items = [msgspec.json.decode(v) for records in log_of(stream, stream.config.catalog_topic).values() for _, v in records]
    assert {i["item_id"]: i["published_at"] for i in items} == {f"i{n}": T0 + (n - 2) * DAY_MS for n in (2, 3, 4, 5)}
    assert stream.broker.is_append_time(stream.config.events_topic) is False


def test_a_second_replay_sends_nothing_and_a_killed_one_goes_on(stream, dataset):
    play(stream, as_of=date(2026, 1, 2))
    third = [e for e in dataset if T0 + DAY_MS <= e["ingest_ms"] < T0 + 2 * DAY_MS]
    sent = [e | {"ingest_time_ms": e["ingest_ms"], "context": '{"a": 1}'} for e in third[:50]]
    for event, time_ms in wire_events(pa.RecordBatch.from_pylist(sent)):  # then it was killed
        stream.producer.send(stream.config.events_topic, event["item_id"].encode(), msgspec.json.encode(event), time_ms=time_ms)
    stream.producer.flush()
    before = sum(stream.broker.end_offsets(stream.config.events_topic, range(4)).values())
    done = play(stream)
    assert done.skipped > 50
    assert sum(stream.broker.end_offsets(stream.config.events_topic, range(4)).values()) == before + done.events + 12
    again = play(stream)
    assert (again.events, again.items) == (0, 0)
    log = log_of(stream, stream.config.events_topic)
    ids = [msgspec.json.decode(v)["event_id"] for records in log.values() for _, v in records if v != HEARTBEAT_VALUE]
    assert len(ids) == 800
    assert all(np.all(np.diff([t for t, _ in records]) >= 0) for records in log.values())


def test_a_replay_up_to_the_present_goes_live(stream, dataset):
    assert play(stream, live=True).live
    assert stream.broker.is_append_time(stream.config.events_topic)
    assert stream.broker.is_append_time(stream.config.catalog_topic)


def test_days_and_data_sets_that_are_not_there_are_named(stream, dataset):
    with pytest.raises(StreamError, match="no events of 2027-01-01"):
        play(stream, date(2027, 1, 1), date(2027, 1, 2))
    with pytest.raises(ArtefactError):
        Replay(stream.config, stream.broker, stream.producer, None, print).run("none", D0, D4, False)


def test_lines_come_as_they_are_written(tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b'{"a": 1}\n\n{"b": 2}')
    with io.FileIO(file) as opened:
        assert list(lines_from(opened.fileno())) == [[b'{"a": 1}'], [b'{"b": 2}']]


def test_a_live_topic_that_is_past_the_days_is_left_alone(stream, dataset):
    play(stream, live=True)
    for partition in range(4):
        write_heartbeat(stream.producer, stream.config.events_topic, partition, 0)  # the broker stamps it: now
    stream.producer.flush()
    done = play(stream)
    assert (done.events, done.skipped, done.days) == (0, 0, [])
    assert stream.broker.is_append_time(stream.config.events_topic)
