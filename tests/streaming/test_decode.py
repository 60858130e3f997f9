"""What a record must be, and what happens to one that is not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import MAX_RECORD_BYTES, Reason
from streaming.decode import HEARTBEAT_VALUE, admit, decode_events

GOOD = {"event_id": "e-1", "event_type": "click", "user_id": "u7", "item_id": "i42", "event_time": 1767225600000}
HOUR_MS = 3_600_000


def decode(*records, key=b"i42"):
    values = [json.dumps(r).encode() if isinstance(r, dict) else r for r in records]
    return decode_events([key] * len(values), values, np.full(len(values), 1767225600000))


def test_a_good_batch_becomes_columns():
    got = decode(GOOD, GOOD | {"event_id": "e-2", "request_id": "r", "context": {"b": 1}, "event_type": "order"})
    assert got.rejected == []
    assert got.events.event_id == ["e-1", "e-2"]
    assert got.events.kind.tolist() == [1, 2]
    assert got.events.request_id == [None, "r"]
    assert json.loads(got.events.context[1]) == {"b": 1}
    assert got.events.event_ms.tolist() == [1767225600000] * 2


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2025-12-31T19:00:00.000-05:00"])
def test_iso_times_with_an_offset_are_the_same_moment(text):
    assert decode(GOOD | {"event_time": text}).events.event_ms.tolist() == [1767225600000]


BAD = [
    (b"{not json", Reason.MALFORMED), (b"", Reason.MALFORMED), (None, Reason.MALFORMED), (b"\xff\xfe", Reason.MALFORMED),
    (b"[" * 1_000, Reason.MALFORMED), (b'{"event_id": "\xff"}', Reason.MALFORMED),
    (b"[1]", Reason.WRONG_TYPE), (b"null", Reason.WRONG_TYPE), (b'"heartbeat"', Reason.WRONG_TYPE),
    ({}, Reason.MISSING_FIELD), ({k: v for k, v in GOOD.items() if k != "user_id"}, Reason.MISSING_FIELD),
    (GOOD | {"item_id": None}, Reason.MISSING_FIELD), (GOOD | {"item_id": 42}, Reason.WRONG_TYPE),
    (GOOD | {"event_id": ""}, Reason.WRONG_TYPE), (GOOD | {"user_id": "u" * 257}, Reason.WRONG_TYPE),
    (GOOD | {"event_time": "2026-01-01T00:00:00"}, Reason.WRONG_TYPE), (GOOD | {"event_time": "today"}, Reason.WRONG_TYPE),
    (GOOD | {"event_time": "1960-01-01T00:00:00Z"}, Reason.WRONG_TYPE), (GOOD | {"event_time": True}, Reason.WRONG_TYPE),
    (GOOD | {"event_time": 1e300}, Reason.WRONG_TYPE), (GOOD | {"event_time": 10**30}, Reason.WRONG_TYPE),
    (GOOD | {"event_time": -1}, Reason.WRONG_TYPE), (GOOD | {"context": [1]}, Reason.WRONG_TYPE),
    (GOOD | {"event_type": "view"}, Reason.UNKNOWN_EVENT_TYPE), (GOOD | {"item_id": "other"}, Reason.KEY_MISMATCH),
    (GOOD | {"context": {"x": "y" * MAX_RECORD_BYTES}}, Reason.OVERSIZED),
]


@pytest.mark.parametrize(("record", "reason"), BAD)
def test_a_bad_record_has_its_reason_and_its_neighbours_pass(record, reason):
    got = decode(GOOD, record, GOOD | {"event_id": "e-2"})
    assert [(r.position, r.reason) for r in got.rejected] == [(1, reason)]
    assert got.rejected[0].detail
    assert got.events.event_id == ["e-1", "e-2"]


def test_a_key_is_needed():
    assert [r.reason for r in decode(GOOD, key=None).rejected] == [Reason.KEY_MISMATCH]


def test_heartbeats_are_neither_events_nor_rejected():
    values = [HEARTBEAT_VALUE, b'{"event_type":  "heartbeat", "from": "x"}', HEARTBEAT_VALUE]
    got = decode_events([None] * 3, values, np.zeros(3))
    assert (len(got.events), got.rejected, got.heartbeats) == (0, [], 3)


def test_a_record_cannot_borrow_from_its_neighbour():
    whole = json.dumps(GOOD).encode()
    two_in_one = whole + b"\n" + whole
    assert [r.reason for r in decode(two_in_one, b"", GOOD).rejected] == [Reason.MALFORMED] * 2
    assert [r.reason for r in decode(whole[:20], whole[20:]).rejected] == [Reason.MALFORMED] * 2
    pretty = json.dumps(GOOD, indent=1).encode()
    assert decode(pretty, GOOD).events.event_id == ["e-1", "e-1"]


@given(st.lists(st.one_of(st.binary(max_size=30), st.just(json.dumps(GOOD).encode()), st.none(), st.just(HEARTBEAT_VALUE),
                          st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.dictionaries(
                              st.sampled_from(list(GOOD)), x)).map(lambda x: json.dumps(x).encode())), max_size=12))
def test_every_record_is_an_event_a_heartbeat_or_rejected_once(values):
    got = decode_events([b"i42"] * len(values), values, np.zeros(len(values), np.int64))
    places = got.events.position.tolist() + [r.position for r in got.rejected]
    assert len(places) == len(set(places))
    assert len(places) + got.heartbeats == len(values)


def test_time_at_the_door():
    ingest = 1767225600000
    ahead = {"event_time": ingest + 5 * 60_000}
    beyond, old = {"event_time": ingest + 5 * 60_000 + 1}, {"event_time": ingest - 169 * HOUR_MS}
    got = decode(GOOD, GOOD | ahead, GOOD | beyond, GOOD | old)
    events, rejected = admit(got.events, 10_000)
    assert events.position.tolist() == [0, 1]
    assert [(r.position, r.reason) for r in rejected] == [(2, Reason.FUTURE), (3, Reason.TOO_OLD)]
