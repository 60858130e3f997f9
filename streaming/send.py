"""Single records from people and demos: JSON lines in, one acknowledgement a line out, as soon as the broker has the record.

A record with an `event_type` goes to the topic of events, one with `published_at` to the catalogue's. Records are sent as
they are, also bad ones: what the stream makes of them (a dead letter) is worth seeing.
"""

import os
from collections.abc import Callable, Iterator

import msgspec

from streaming.config import StreamConfig
from streaming.kafka_io import Broker, Producer


def go_live(config: StreamConfig, broker: Broker) -> None:
    """Live records are stamped by the broker's clock."""
    for topic in (config.events_topic, config.catalog_topic):
        if not broker.is_append_time(topic):
            broker.set_append_time(topic, True)


def lines_from(descriptor: int) -> Iterator[list[bytes]]:
    """The lines that are there, as they come."""
    rest = b""
    while chunk := os.read(descriptor, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines := [line for line in lines if line.strip()]:
            yield lines
    if rest.strip():
        yield [rest]


def send_lines(config: StreamConfig, producer: Producer, descriptor: int, tell: Callable[[str], None]) -> tuple[int, int]:
    """Send everything; (events, items)."""
    events = items = 0
    for lines in lines_from(descriptor):
        answers = []
        for line in lines:
            record = as_object(line)
            is_item = "event_type" not in record and "published_at" in record
            topic = config.catalog_topic if is_item else config.events_topic
            key = record.get("item_id")
            producer.send(topic, key.encode() if isinstance(key, str) else None, line)
            items, events = items + is_item, events + (not is_item)
            answers.append(f"sent to {topic}: {record.get('item_id') if is_item else record.get('event_id')}")
        producer.flush()
        for answer in answers:
            tell(answer)
    return events, items


def as_object(line: bytes) -> dict:
    try:
        record = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        return {}
    return record if isinstance(record, dict) else {}
