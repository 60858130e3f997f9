"""The maturity role on a real broker and a real Valkey."""

import json
import time

import numpy as np
import pytest

from features.clock import SystemClock
from features.errors import StreamError
from features.events import Reason
from streaming.kafka_io import Records, TopicPart, read_range
from streaming.sinks import MemorySink

pytestmark = pytest.mark.kafka
T0 = 1_767_225_600_000
DAY_MS = 86_400_000


def letters(stream):
    end = stream.broker.end_offsets(stream.config.dead_letters_topic, [0])[0]
    return list(read_range(stream.config.bootstrap, TopicPart(stream.config.dead_letters_topic, 0), 0, end))


def test_what_is_produced_is_published_row_by_row(stream, make_events, truth_of, wait_until):
    events, until = make_events(3_000), T0 + 12 * DAY_MS
    stream.send(events, until)
    sink = MemorySink()
    end = stream.start(stream.maturity(sink))
    expected = truth_of(events, until)
    assert wait_until(lambda: len(sink.log) >= len(expected))
    end()
    assert sink.log == expected
    assert stream.config.ready_file("maturity").is_file() is False  # it left
    assert json.loads(stream.config.progress_file("maturity").read_text())["records"] == 3_004
    assert all(stream.store().load(p).outbox == {} for p in range(4))


def test_user_histories_are_pushed_as_they_are_known(stream, make_events, wait_until):
    events = make_events(1_000)
    stream.send(events, T0 + 5 * DAY_MS)
    sink = MemorySink()
    end = stream.start(stream.maturity(sink))
    takes = {}
    for e in reversed(events):
        if e["event_type"] == "click":
            takes.setdefault(e["user_id"], {})[e["event_id"]] = (e["event_time_ms"], e["event_id"], e["item_id"])
    expected = {user: [item for _, _, item in sorted(t.values())] for user, t in takes.items()}
    assert wait_until(lambda: {u: h[1] for u, h in sink.histories.items()} == expected)
    end()


def test_bad_records_are_buried_with_their_reason_and_good_ones_pass(stream, wait_until):
    good = {"event_id": "e", "event_type": "click", "user_id": "u", "item_id": "i", "event_time": T0}
    bad = [(b"i", b"{poison", Reason.MALFORMED), (b"i", b"[]", Reason.WRONG_TYPE),
           (None, json.dumps(good).encode(), Reason.KEY_MISMATCH),
           (b"i", json.dumps(good | {"event_type": "view"}).encode(), Reason.UNKNOWN_EVENT_TYPE),
           (b"i", json.dumps(good | {"event_time": T0 + 3_600_000}).encode(), Reason.FUTURE),
           (b"i", json.dumps(good | {"event_time": T0 - 8 * DAY_MS}).encode(), Reason.TOO_OLD),
           (b"i", b"x" * 999_999, Reason.OVERSIZED)]
    for key, value, _ in bad:  # at the head of the partition that `i` lives in, or of any
        stream.producer.send(stream.config.events_topic, key, value, time_ms=T0)
    stream.producer.send(stream.config.events_topic, b"i", json.dumps(good).encode(), time_ms=T0)
    stream.send([], T0 + 20_000)
    sink = MemorySink()
    role = stream.maturity(sink)
    end = stream.start(role)
    assert wait_until(lambda: ("i", T0 + 10_000, 0, 1) in sink.log)
    assert wait_until(lambda: role.report.progress.dead == len(bad))
    end()
    found = letters(stream)
    assert sum(map(len, found)) == len(bad)
    keys = [key.decode() for r in found for key in r.key]
    assert all(key.startswith(f"{stream.config.events_topic}/") for key in keys)
    assert {reason for _, _, reason in bad} <= set(role.report.progress.outcomes)
    values = {value for r in found for value in r.value}
    assert {value for _, value, reason in bad if reason != Reason.OVERSIZED} <= values


def test_live_ticks_complete_in_silence(stream, wait_until):
    """Append time, one event, nothing after it: heartbeats carry the time of all partitions."""
    stream.broker.set_append_time(stream.config.events_topic, True)
    sink, now = MemorySink(), SystemClock().now_ms()
    end = stream.start(stream.maturity(sink))
    assert wait_until(lambda: stream.config.ready_file("maturity").is_file())
    stream.send([{"event_id": "e", "event_type": "impression", "user_id": "u", "item_id": "i", "event_time_ms": now,
                  "ingest_ms": 0}])
    assert wait_until(lambda: sink.latest)
    end()
    assert sink.latest["i"][1:] == (1, 0)
    assert sink.latest["i"][0] % 10_000 == 0
    ends = stream.broker.end_offsets(stream.config.events_topic, range(4))
    assert min(ends.values()) > 0


def test_no_heartbeat_moves_virtual_time(stream, wait_until):
    stream.send([], T0)
    role = stream.maturity()
    end = stream.start(role)
    assert wait_until(lambda: stream.config.ready_file("maturity").is_file())
    time.sleep(1.0)
    end()
    assert {held.watermark_ms for held in role.held.values()} == {T0}
    assert set(stream.broker.end_offsets(stream.config.events_topic, range(4)).values()) == {1}


def test_two_consumers_share_the_partitions_and_hand_them_over(stream, make_events, truth_of, wait_until, with_settings):
    events, until = make_events(4_000, seed=3), T0 + 12 * DAY_MS
    sink = MemorySink()
    elsewhere = with_settings(stream.config, home=stream.config.home / "second")  # the files of a second process
    first, second = stream.maturity(sink), stream.maturity(sink, config=elsewhere)
    stop_first = stream.start(first)
    stream.send(events[:2_000])
    assert wait_until(lambda: len(first.held) == 4)
    stop_second = stream.start(second)
    assert wait_until(lambda: (len(first.held), len(second.held)) == (2, 2))
    stream.send(events[2_000:3_000])
    stop_first()
    stream.send(events[3_000:], until)
    expected = truth_of(events, until)
    assert wait_until(lambda: len(sink.log) >= len(expected))
    stop_second()
    assert sink.log == expected
    assert len(second.held) == 4


def test_a_restart_under_its_own_name_moves_no_partition(stream, make_events, truth_of, wait_until, with_settings):
    """Static membership: the one that stays is asked to give nothing up, and the one that comes back has what it had."""
    events, until = make_events(2_000, seed=6), T0 + 12 * DAY_MS
    sink = MemorySink()
    roles = [stream.maturity(sink, config=with_settings(stream.config, instance=name)) for name in ("a", "b")]
    stops = [stream.start(role) for role in roles]
    stream.send(events[:1_000])
    assert wait_until(lambda: [len(role.held) for role in roles] == [2, 2])
    before, taken = set(roles[1].held), []
    stays = roles[0]
    stays.on_revoked = taken.extend
    stops[1]()
    back = stream.maturity(sink, config=with_settings(stream.config, instance="b"))
    stop_back = stream.start(back)
    stream.send(events[1_000:], until)
    expected = truth_of(events, until)
    assert wait_until(lambda: len(sink.log) >= len(expected))
    stop_back()
    stops[0]()
    assert (sink.log, set(back.held), taken) == (expected, before, [])


class FullDisk(MemorySink):
    full = True

    def push(self, rows):
        if self.full and rows:
            raise OSError(28, "No space left on device")
        super().push(rows)


def test_while_rows_cannot_be_pushed_nothing_more_is_taken_in(stream, make_events, truth_of, wait_until, with_settings):
    events, until = make_events(3_000, seed=8), T0 + 12 * DAY_MS
    stream.send(events, until)
    online, log = MemorySink(), FullDisk()
    role = stream.maturity(online, log, config=with_settings(stream.config, batch_records=100))
    end = stream.start(role)
    faults, store = role.report.progress.reloads, stream.store()

    def taken_in():
        return [store.position(p) for p in range(4)]
    assert wait_until(lambda: faults["OSError"] >= 1)
    before = taken_in()
    assert wait_until(lambda: faults["OSError"] >= 4)
    assert not role.report.is_ready
    assert taken_in() == before
    log.full = False
    expected = truth_of(events, until)
    assert wait_until(lambda: len(log.log) >= len(expected))
    assert wait_until(lambda: role.report.is_ready)
    end()
    assert log.log == expected


def test_an_item_that_no_catalogue_record_named_is_counted(stream, wait_until):
    sink = MemorySink()
    sink.catalogue = {"known"}
    click = {"event_type": "click", "user_id": "u", "event_time_ms": T0, "ingest_ms": T0}
    items = ["known", "new", "new", "newer"]
    stream.send([click | {"event_id": f"e{n}", "item_id": item} for n, item in enumerate(items)], T0 + 20_000)
    role = stream.maturity(sink)
    end = stream.start(role)
    assert wait_until(lambda: role.report.progress.outcomes["unknown_item"] == 2)
    end()
    assert role.report.progress.outcomes["counted"] == 4


def test_a_zombie_is_fenced_loads_again_and_loses_nothing(stream, make_events, truth_of):
    """Two consumers that both believe to own partition 0; batches alternate between them by hand."""
    part, until = TopicPart(stream.config.events_topic, 0), T0 + 12 * DAY_MS
    events = make_events(2_000, seed=4)
    stream.send(events, until)
    (records,) = [read_all(stream, part)]
    sink = MemorySink()
    roles = [stream.maturity(sink), stream.maturity(sink)]
    for role in roles:
        role.on_assigned([part])
    fenced = 0
    for n in range(400):
        role = roles[(n // 3) % 2]
        at = role.positions[part]
        chunk = slice(at, at + 20)
        if at >= len(records):
            break
        columns = (records.offset, records.time_ms, records.key, records.value)
        role.handle(part, Records(*(column[chunk] for column in columns)))
        fenced += len(role.fenced)
        role.settle(idle=n % 2 == 0)
    for role in roles:
        role.on_assigned([part])
        role.push()
    mine = {key.decode() for key in records.key if key}
    assert fenced > 3
    assert sink.log == {row for row in truth_of(events, until) if row[0] in mine}


def read_all(stream, part):
    end = stream.broker.end_offsets(part.topic, [part.partition])[part.partition]
    found = list(read_range(stream.config.bootstrap, part, 0, end))
    return Records(np.concatenate([r.offset for r in found]), np.concatenate([r.time_ms for r in found]),
                   [k for r in found for k in r.key], [v for r in found for v in r.value])


def test_state_beyond_the_log_is_refused(stream):
    from streaming.changes import Changes
    from streaming.state_store import Position

    stream.store().commit(2, None, Position(500, T0, T0), Changes(), None)
    end = stream.start(stream.maturity())
    for _ in range(500):
        if end.fault:
            break
        time.sleep(0.02)
    with pytest.raises(StreamError, match="stands at offset 500, the log holds 0 to 0"):
        end()


def test_a_missing_topic_and_a_changed_partition_count_are_named(stream):
    with pytest.raises(StreamError, match="topic nowhere is missing.*has 4 partitions, .* says 8"):
        stream.broker.check_topics({"nowhere": 4, stream.config.events_topic: 8})
