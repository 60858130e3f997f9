"""What lies in the dead letters, and how it goes back to its topic after a fix: of the code, or of the record.

A letter is named after where its record stood, `<topic>/<partition>/<offset>`, so one that was written twice is one. A replay
first asks whether its record would be accepted now; then it sends it and marks the letter (same key, no value, a header
`replayed`), so that the next replay leaves it alone. A crash between the two sends it twice: its event_id counts once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from features.clock import Clock, from_ms
from features.errors import DataError
from streaming.config import StreamConfig
from streaming.decode import Refused, admit, decode_events
from streaming.decode_items import decode_item
from streaming.kafka_io import Broker, Producer, Records, TopicPart, read_range

REPLAYED = "replayed"


@dataclass(frozen=True)
class Letter:
    name: str  # topic/partition/offset of the record
    reason: str
    detail: str
    topic: str
    time_ms: int  # the record's timestamp
    key: bytes | None
    value: bytes | None
    size: int  # bytes of the record's value; a very large one was cut

    def line(self) -> str:
        return f"{self.name}  {from_ms(self.time_ms):%Y-%m-%d %H:%M:%SZ}  {self.reason}: {self.detail}"

    def as_json(self) -> dict[str, Any]:
        """For a person or a script to edit `value` in: JSON where it is some, else its text."""
        try:
            value = msgspec.json.decode(self.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            value = (self.value or b"").decode("utf-8", "backslashreplace")
        return {"letter": self.name, "reason": self.reason, "detail": self.detail,
                "time": f"{from_ms(self.time_ms):%Y-%m-%dT%H:%M:%SZ}", "value": value}


@dataclass
class Letters:
    waiting: dict[str, Letter] = field(default_factory=dict)  # by name
    replayed: int = 0

    def of(self, reasons: Collection[str]) -> list[Letter]:
        """Those with one of these reasons; with any, if none is given."""
        return [letter for letter in self.waiting.values() if not reasons or letter.reason in reasons]

    def summary(self) -> str:
        reasons = Counter(letter.reason for letter in self.waiting.values())
        counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        return f"{len(self.waiting):,} letters wait{f' ({counts})' if counts else ''}; {self.replayed:,} were replayed"


def read_letters(config: StreamConfig, broker: Broker) -> Letters:
    topic = config.dead_letters_topic
    letters, replayed = Letters(), set()
    for partition, end in broker.end_offsets(topic, range(broker.partition_counts()[topic])).items():
        start = broker.begin_offsets(topic, [partition])[partition]
        for records in read_range(config.bootstrap, TopicPart(topic, partition), start, end):
            for letter, is_mark in letters_in(records):
                if is_mark:
                    replayed.add(letter.name)
                else:
                    letters.waiting[letter.name] = letter
    for name in replayed:
        letters.replayed += letters.waiting.pop(name, None) is not None
    return letters


def letters_in(records: Records) -> Iterator[tuple[Letter, bool]]:
    """Each letter, and whether it is the mark of a replay."""
    for key, value, headers in zip(records.key, records.value, records.headers, strict=True):
        told = {name: (text or b"").decode("utf-8", "replace") for name, text in headers.items() if name != "key"}
        yield Letter((key or b"").decode(), told.get("reason", ""), told.get("detail", ""), told.get("topic", ""),
                     int(told.get("time_ms", 0)), headers.get("key"), value, int(told.get("bytes", 0))), REPLAYED in told


@dataclass
class Replayed:
    sent: int = 0
    refused: list[str] = field(default_factory=list)  # why each of the others stays


def replay(config: StreamConfig, broker: Broker, producer: Producer, letters: Iterable[Letter], edited: Mapping[str, bytes],
           clock: Clock) -> Replayed:
    """Send the records that would be accepted now, with their `edited` values where there are some; then mark their letters."""
    live = broker.is_append_time(config.events_topic)
    done, marks = Replayed(), []
    for letter in letters:
        value = edited.get(letter.name, letter.value)
        try:
            if letter.name not in edited and len(value or b"") < letter.size:
                raise Refused(letter.reason, f"{letter.size:,} bytes were cut to {len(value or b''):,}")
            key = accepted_key(config, letter, value, clock.now_ms() if live else letter.time_ms)
        except Refused as fault:
            done.refused.append(f"{letter.name}  still {fault.reason}: {fault.detail}")
            continue
        producer.send(letter.topic, key, value, time_ms=letter.time_ms)
        marks.append(letter.name)
    producer.flush()
    for name in marks:
        producer.send(config.dead_letters_topic, name.encode(), None, headers=[(REPLAYED, b"1")])
    producer.flush()
    done.sent = len(marks)
    return done


def accepted_key(config: StreamConfig, letter: Letter, value: bytes | None, at_ms: int) -> bytes:
    """The key to send this value under. Raises Refused: it would become a dead letter again."""
    key = item_of(value) or letter.key or b""
    if letter.topic == config.catalog_topic:
        decode_item(0, key, value or b"", at_ms)
        return key
    decoded = decode_events([key], [value], np.array([at_ms], np.int64))
    events, too_odd = admit(decoded.events, config.interval_ms)
    for rejected in [*decoded.rejected, *too_odd]:
        raise Refused(rejected.reason, rejected.detail)
    if not len(events):
        raise Refused(letter.reason, "a heartbeat is no event")
    return key


def item_of(value: bytes | None) -> bytes | None:
    """The item_id in a value, by which records are keyed."""
    try:
        record = msgspec.json.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    item = record.get("item_id") if isinstance(record, dict) else None
    return item.encode() if isinstance(item, str) else None


def read_edited(lines: Iterable[bytes], letters: Letters) -> dict[str, bytes]:
    """{letter: its new value} from JSON lines as `list --json` prints them.

    Raises DataError, which names every line that is no such object or speaks of a letter that does not wait.
    """
    edited, faults = {}, []
    for number, line in enumerate(lines, 1):
        try:
            given = msgspec.json.decode(line)
            name, value = given["letter"], given["value"]
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
            faults.append(f'line {number} is not {{"letter": …, "value": …}}')
            continue
        if name not in letters.waiting:
            faults.append(f"line {number}: no letter {name!r} waits")
        edited[name] = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    if faults:
        raise DataError(f"{'; '.join(faults[:10])}. Nothing was sent; start from `dead-letters list --json`")
    return edited
