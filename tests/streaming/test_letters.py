"""Dead letters, listed and replayed, on a real broker: nothing counts twice."""

import json
import uuid

import pytest

from features.clock import SystemClock
from features.errors import DataError
from streaming.__main__ import main
from streaming.letters import read_edited, read_letters, replay
from streaming.sinks import MemorySink

pytestmark = pytest.mark.kafka
T0 = 1_767_225_600_000
GOOD = {"event_id": "e1", "event_type": "click", "user_id": "u", "item_id": "i", "event_time": T0}


@pytest.fixture
def buried(stream, wait_until):
    """Three refused records, and one event that counts; the running sink."""
    records = [(b"i", GOOD | {"event_type": "view"}), (b"j", GOOD | {"event_id": "e2"}), (b"i", GOOD | {"event_id": "e3"})]
    for key, record in records:
        stream.producer.send(stream.config.events_topic, key, json.dumps(record).encode(), time_ms=T0)
    stream.producer.send(stream.config.events_topic, b"i", b"{poison", time_ms=T0)
    sink = MemorySink()
    role = stream.maturity(sink)
    stream.start(role)
    assert wait_until(lambda: role.report.progress.dead == 3)
    return sink


def run_replay(stream, letters, edited=None):
    edited = edited or {}
    return replay(stream.config, stream.broker, stream.producer, letters.of([]), edited, SystemClock())


def test_letters_are_listed_with_their_reasons(stream, buried):
    letters = read_letters(stream.config, stream.broker)
    assert sorted(letter.reason for letter in letters.of([])) == ["key_is_not_item_id", "malformed", "unknown_event_type"]
    assert len(letters.of(["malformed"])) == 1
    assert letters.summary().startswith("3 letters wait (")
    (letter,) = letters.of(["malformed"])
    assert (letter.as_json()["value"], letter.name.split("/")[0]) == ("{poison", stream.config.events_topic)


def test_a_replay_sends_what_would_be_accepted_and_nothing_counts_twice(stream, buried, wait_until):
    letters = read_letters(stream.config, stream.broker)
    name = letters.of(["unknown_event_type"])[0].name
    line = json.dumps({"letter": name, "value": GOOD | {"event_type": "impression"}}).encode()
    edited = read_edited([line], letters)
    done = run_replay(stream, letters, edited)
    assert (done.sent, len(done.refused)) == (2, 1)  # the view is an impression now; the wrong key is put right
    assert "still malformed" in done.refused[0]
    assert run_replay(stream, letters, edited).sent == 2  # as if the first had died before it marked them
    stream.send([], T0 + 20_000)
    assert wait_until(lambda: ("i", T0 + 10_000, 1, 2) in buried.log)
    assert {row for row in buried.log if row[0] == "i"} == {("i", T0 + 10_000, 1, 2)}
    again = read_letters(stream.config, stream.broker)
    assert ([letter.reason for letter in again.of([])], again.replayed) == (["malformed"], 2)


def test_an_edited_letter_that_does_not_wait_is_named_and_nothing_is_sent(stream, buried):
    letters = read_letters(stream.config, stream.broker)
    with pytest.raises(DataError, match=r"line 1: no letter 'events/9/9' waits; line 2 is not .*list --json"):
        read_edited([b'{"letter": "events/9/9", "value": {}}', b"oops"], letters)


def test_the_commands_of_people_on_call(broker, valkey, tmp_path, monkeypatch, capsys):
    for name, value in {"HOME": str(tmp_path), "KAFKA": broker, "VALKEY": valkey, "STREAM__GROUP": uuid.uuid4().hex}.items():
        monkeypatch.setenv(f"GATESID_{name}", value)
    assert main(["dead-letters", "list", "--limit", "3"]) == 0
    assert "letters wait" in capsys.readouterr().out
    assert main(["dead-letters", "replay", "--reason", "no-such-reason"]) == 0
    assert "0 records sent again" in capsys.readouterr().out
    assert main(["state", "check"]) == 0
    assert "p3: no state\n0 faults" in capsys.readouterr().out
    assert main(["state", "export", "--folder", str(tmp_path / "copy")]) == 0
    assert main(["state", "import", "--folder", str(tmp_path / "copy")]) == 0
    assert main(["state", "import"]) == 1
    assert "needs a folder" in capsys.readouterr().err
