"""The lake role: every good record in its table once, the watermark beside it."""

import json
from datetime import date

import numpy as np
import pytest
from deltalake import DeltaTable

from features.errors import StreamError
from features.events import EVENT_COLUMNS
from streaming import lake_tables
from streaming.config import StreamConfig
from streaming.decode_items import decode_items
from streaming.kafka_io import Records, TopicPart
from streaming.lake_tables import MATURITY_COLUMNS, LakeTable, day_of
from streaming.raw_lake import LakeRole, day_is_complete, lake_watermark_ms
from streaming.report import Report

T0, DAY_MS = 1_767_225_600_000, 86_400_000


def lake(stream, config=None, cluster="c"):
    return LakeRole(config or stream.config, cluster, Report(config or stream.config, "lake"))


def rows(stream, name):
    return DeltaTable(str(stream.config.layout.table(name))).to_pyarrow_table().to_pylist()


@pytest.mark.kafka
def test_events_and_items_are_appended_once_across_restarts(stream, make_events, wait_until):
    events = make_events(2_000)
    item = {"item_id": "i1", "title": "Oats", "published_at": T0, "attributes": {"b": "2", "a": "1"}, "vector": [0.5, 1]}
    stream.producer.send(stream.config.catalog_topic, b"i1", json.dumps(item).encode(), time_ms=T0 + 5)
    stream.producer.send(stream.config.events_topic, b"i1", b"{poison", time_ms=T0)
    for start in (0, 700, 1_400):
        stream.send(events[start:start + 700])
        end = stream.start(lake(stream))
        assert wait_until(lambda: stream.config.ready_file("lake").is_file())
        end()
    found = rows(stream, "events")
    assert sorted(r["event_id"] for r in found) == sorted(e["event_id"] for e in events)
    assert {(r["source"], r["ds"]) for r in found} == {("kafka", f"2026-01-0{d}") for d in range(1, 5)}
    by_place = sorted((r["partition"], r["offset"], int(r["ingest_time"].timestamp() * 1000)) for r in found)
    assert len({place[:2] for place in by_place}) == 2_000
    assert all(a[2] <= b[2] for a, b in zip(by_place, by_place[1:], strict=False) if a[0] == b[0])
    (got,) = rows(stream, "items")
    assert (got["title"], got["attributes"], got["vector"]) == ("Oats", '{"a":"1","b":"2"}', [0.5, 1.0])
    schema = DeltaTable(str(stream.config.layout.table("events"))).to_pyarrow_table().schema
    assert [(f.name, str(f.type), f.nullable) for f in schema] == [(c.name, c.type, c.nullable) for c in EVENT_COLUMNS]


@pytest.mark.kafka
def test_the_watermark_counts_heartbeats_and_the_slowest_partition(stream, make_events, wait_until):
    table, topic = stream.config.layout.table("events"), stream.config.events_topic
    end = stream.start(lake(stream))
    stream.send(make_events(500))
    assert wait_until(lambda: stream.config.ready_file("lake").is_file())
    assert not day_is_complete(table, topic, 4, date(2026, 1, 5))
    stream.send([], T0 + 4 * DAY_MS)
    assert wait_until(lambda: day_is_complete(table, topic, 4, date(2026, 1, 5)))
    end()
    assert lake_watermark_ms(table, topic, 4) == T0 + 4 * DAY_MS
    assert lake_watermark_ms(table, topic, 5) is None
    assert not day_is_complete(table, topic, 4, date(2026, 1, 6))


def test_a_day_loaded_as_history_is_complete(tmp_path):
    table = LakeTable(tmp_path / "events", EVENT_COLUMNS, ["ds"])
    table.append(table.schema.empty_table(), {"history:2026-01-04": 7})
    assert day_is_complete(tmp_path / "events", "events", 4, date(2026, 1, 5))
    assert not day_is_complete(tmp_path / "events", "events", 4, date(2026, 1, 6))
    assert not day_is_complete(tmp_path / "nowhere", "events", 4, date(2026, 1, 5))


def batch(*records):
    """Records by hand: (offset, time, key, value) …"""
    offsets, times, keys, values = zip(*records, strict=True)
    return Records(np.array(offsets), np.array(times), list(keys), list(values))


def click(n):
    return json.dumps({"event_id": f"e{n}", "event_type": "click", "user_id": "u", "item_id": "i", "event_time": T0}).encode()


@pytest.fixture
def offline(tmp_path):
    return StreamConfig(tmp_path, "nowhere:1", "redis://nowhere:1")


def test_two_writers_of_a_partition_append_it_once(offline):
    """Both read the same records; the second finds the number raised and reads on from there."""
    part, roles = TopicPart("events", 0), [LakeRole(offline, "c", Report(offline, "lake")) for _ in range(2)]
    for role in roles:
        role.on_assigned([part])
        role.handle(part, batch((0, T0, b"i", click(0)), (1, T0 + 1, b"i", click(1))))
    assert roles[0].flush() == {}
    assert roles[1].flush() == {part: 2}
    roles[1].handle(part, batch((2, T0 + 2, b"i", click(2))))
    assert roles[1].flush() == {}
    found = DeltaTable(str(offline.layout.table("events"))).to_pyarrow_table().to_pydict()
    assert sorted(found["event_id"]) == ["e0", "e1", "e2"]


def test_offsets_of_another_cluster_are_refused(offline):
    part = TopicPart("events", 0)
    role = LakeRole(offline, "one", Report(offline, "lake"))
    role.on_assigned([part])
    role.handle(part, batch((0, T0, b"i", click(0))))
    role.finish()
    with pytest.raises(StreamError, match="offsets of another Kafka cluster"):
        LakeRole(offline, "two", Report(offline, "lake")).on_assigned([part])


def test_small_files_become_one_a_day_and_no_reader_notices(tmp_path, monkeypatch):
    table = LakeTable(tmp_path / "log", MATURITY_COLUMNS, ["ds"])
    for n in range(12):
        tick = np.array([T0 + n * DAY_MS // 6])
        columns = {"item_id": ["i"], "tick": tick, "exposure_7d": [n], "click_7d": [0], "ds": day_of(tick)}
        assert table.append(table.rows(columns), {"g/events/0": n})
    reader = DeltaTable(str(table.path))
    table.tidy()
    assert len(DeltaTable(str(table.path)).file_uris()) == 12  # not yet due
    monkeypatch.setattr(lake_tables, "COMPACT_EVERY_S", 0)
    table.tidy()
    now = DeltaTable(str(table.path))
    assert len(now.file_uris()) == 2
    assert now.to_pyarrow_table().sort_by("tick") == reader.to_pyarrow_table().sort_by("tick")
    assert (now.transaction_version("g/events/0"), table.small) == (11, set())


@pytest.mark.parametrize(("value", "reason"), [
    (b"{", "malformed"), (b"[]", "wrong_type"), (b'{"item_id": "i"}', "missing_field"),
    (b'{"item_id": "i", "published_at": 1, "attributes": {"a": 1}}', "wrong_type"),
    (b'{"item_id": "j", "published_at": 1}', "key_is_not_item_id"), (b'{"item_id": "i", "published_at": "noon"}', "wrong_type"),
    (b'{"item_id": "i", "published_at": 1, "title": "' + b"x" * 5_000 + b'"}', "wrong_type"), (b" " * 70_000, "oversized")])
def test_a_bad_catalogue_record_has_its_reason(value, reason):
    items, rejected = decode_items([b"i", b"i", b"i"], [value, None, b'{"item_id": "i", "published_at": 1}'], [1, 2, 3])
    assert [(r.position, r.reason) for r in rejected] == [(0, reason)]
    assert [(i.position, i.content.is_empty(), i.ingest_ms) for i in items] == [(2, True, 3)]
