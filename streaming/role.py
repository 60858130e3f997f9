"""The frame of every role: poll, handle, settle, look how far behind; until a signal ends it between two batches.

When something outside is away (outside.py), whatever was not committed is void: every partition is taken up again from where
its state stands, as soon as that can be asked.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Protocol

from features.errors import EnvironmentFault
from streaming.config import StreamConfig
from streaming.group_consumer import GroupConsumer
from streaming.kafka_io import KafkaError, Records, TopicPart
from streaming.outside import AWAY
from streaming.report import Report, say

POLL_MS = 100
LOOK_EVERY_S = 1.0
LEAVE_WITHIN_S = 8.0  # a supervisor kills after ten
AGAIN_AFTER_S = 0.5  # what was away is asked again


class Role(Protocol):
    """What a role does with its partitions. `positions` are the offsets it has taken in, by partition held."""

    name: str
    topics: list[str]
    group: str
    positions: dict[TopicPart, int]

    def on_assigned(self, parts: list[TopicPart]) -> Mapping[TopicPart, int | None]: ...

    def on_revoked(self, parts: list[TopicPart]) -> None: ...

    def handle(self, part: TopicPart, records: Records) -> None:
        """Take in a batch. Records of a partition that is not held any more are to be ignored."""

    def settle(self, idle: bool) -> dict[TopicPart, int | None]:
        """After each poll (`idle`: it was not full); returns partitions to read again from an offset."""

    def finish(self) -> None:
        """Settle everything, before leaving."""


class Stop:
    """Set by a signal, or by whoever runs the role in a thread."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def at_signals(self, last_words: Callable[[], None]) -> None:
        """Let SIGTERM and SIGINT end this process, and in time: one that waits for a broker or a store that does not answer is
        cut off. That loses nothing: what is not committed is in the log."""
        self.last_words = last_words
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.event.set()
        cut = threading.Timer(LEAVE_WITHIN_S, self.cut_off)
        cut.daemon = True
        cut.start()

    def cut_off(self) -> None:
        self.last_words()
        say(f"not left in order within {LEAVE_WITHIN_S:g} s of the signal, because something does not answer: ended here; what "
            "is not committed is in the log")
        os._exit(EnvironmentFault.exit_code)

    def __bool__(self) -> bool:
        return self.event.is_set()


def run_role(config: StreamConfig, role: Role, report: Report, stop: Stop) -> None:
    """Run until stopped. A fault that waiting cannot mend leaves the group at once, so that others take the partitions over."""
    consumer = GroupConsumer(
        config.bootstrap, role.group, role.topics, on_assigned=role.on_assigned, on_revoked=role.on_revoked,
        max_records=config.batch_records, instance=config.instance)
    try:
        looked, ends = 0.0, dict[TopicPart, int]()
        while not stop:
            try:
                turn(config, consumer, role)
                if time.monotonic() - looked >= LOOK_EVERY_S and role.positions:
                    looked = time.monotonic()
                    ends = look(consumer, role, report, ends)
                if report.due():
                    report.show()
            except AWAY as fault:
                report.fault(fault)
                ends = {}
                consumer.take_up_again()
                stop.event.wait(AGAIN_AFTER_S)
        leave(consumer, role, report)
    finally:
        consumer.close()
        report.gone()


def turn(config: StreamConfig, consumer: GroupConsumer, role: Role) -> None:
    batch = consumer.poll(POLL_MS)
    for part, records in batch.items():
        role.handle(part, records)
    idle = sum(map(len, batch.values())) < config.batch_records
    for part, offset in role.settle(idle).items():
        consumer.seek(part, offset)


def leave(consumer: GroupConsumer, role: Role, report: Report) -> None:
    """Settle what is pending; what cannot be settled now is in the log and in the store, for the next owner."""
    try:
        role.finish()
        consumer.commit(role.positions)
        report.show()
    except AWAY as fault:
        report.fault(fault)


def look(consumer: GroupConsumer, role: Role, report: Report, before: Mapping[TopicPart, int]) -> dict[TopicPart, int]:
    """How far behind each partition is; tell the group, and say so when it has caught up: with all that was in the log at the
    look before, as under load something always waits. Returns the log's ends; silent while the broker is."""
    try:
        ends = consumer.end_offsets(role.positions)
    except KafkaError as fault:
        report.fault(fault)
        return {}
    lag = {part: max(0, ends[part] - offset) for part, offset in role.positions.items()}
    prefix = {topic: "" if len(role.topics) == 1 else f"{topic}/" for topic in role.topics}
    report.progress.lag = {f"{prefix[part.topic]}p{part.partition}": n for part, n in lag.items()}
    consumer.commit(role.positions)
    report.tell_metrics()
    if all(offset >= before.get(part, ends[part]) for part, offset in role.positions.items()):
        report.ready()
    return ends
