"""The stage: a broker, a store, consumers in processes of their own, and days of events that the driver sends.

Day by day the topic runs in virtual time. A consumer that died is started again, as a supervisor would; what it said and
how it ended is kept.
"""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.clock import MS_PER_DAY
from features.errors import EnvironmentFault, StreamError
from features.events import CLICK, IMPRESSION, ORDER
from streaming.config import StreamConfig
from streaming.failure_matrix.victim import IMPORTS, Switch, consume
from streaming.heartbeat import write_heartbeat
from streaming.kafka_io import Broker, Producer
from streaming.lake_tables import read_transaction
from streaming.outside import AWAY
from streaming.valkey_store import ValkeyStateStore

WITHIN_S = 240.0  # a loaded machine is slow; a stream that stands still longer is stuck
ITEMS, USERS = 300, 60
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(IMPORTS)  # they take seconds: once for all consumers


@dataclass
class Server:
    """A broker or a store that may be killed, and comes back with what is in its folder."""

    command: list[str]
    folder: Path
    log: Path
    is_up: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            # A full disk is played by a limit on the size of files; whoever ignores the signal gets the error.
            command = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", *self.command]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until(self.is_up, f"{self.command[0]} is up; see {self.log}")

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    def end(self, sent: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(sent)
            self.process.wait(60)
            self.process = None

    def copy(self, to: Path) -> None:
        shutil.copytree(self.folder, to)

    def restore(self, copy: Path) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)


@dataclass
class Consumer:
    role: str
    instance: str
    process: Any
    said: list[str] = field(default_factory=list)

    def listen(self, pipe: Any) -> None:
        with os.fdopen(os.dup(pipe.fileno()), "r", errors="replace") as lines:
            pipe.close()
            self.said.extend(lines)

    def heard(self, text: str, since: int = 0) -> bool:
        """Whether it said so after its first `since` lines."""
        return any(text in line for line in self.said[since:])


def wait_until(met: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Raises StreamError: not in time."""
    end = time.monotonic() + within_s
    while not met():
        if time.monotonic() > end:
            raise StreamError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.1)


class World:
    def __init__(self, config: StreamConfig, kafka: Server, valkey: Server, open_store: Callable[[Broker], ValkeyStateStore],
                 seed: int, day_0_ms: int) -> None:
        self.config, self.kafka, self.valkey = config, kafka, valkey
        self.rng = np.random.default_rng(seed)
        kafka.start()
        valkey.start()
        self.broker, self.producer = Broker(config.bootstrap), Producer(config.bootstrap, linger_ms=5)
        self.broker.ensure_topics({
            config.events_topic: (config.partitions, {"message.timestamp.after.max.ms": str(2**62)}),
            config.catalog_topic: (config.partitions, {"cleanup.policy": "compact"}), config.dead_letters_topic: (1, {})})
        self.store = open_store(self.broker)
        self.consumers: dict[str, Consumer] = {}
        self.now_ms, self.sent = day_0_ms, 0
        self.recent: list[dict[str, Any]] = []

    # Consumers

    def start(self, role: str = "maturity", instance: str = "a", switch: Switch | None = None) -> Consumer:
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=consume, args=(role, instance, switch, theirs), daemon=True)
        process.start()
        theirs.close()
        consumer = self.consumers[f"{role}/{instance}"] = Consumer(role, instance, process)
        threading.Thread(target=consumer.listen, args=(ours,), daemon=True).start()
        return consumer

    def end(self, consumer: Consumer, sent: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait; the exit code."""
        self.signal(consumer, sent)
        return self.ended(consumer)

    def ended(self, consumer: Consumer, within_s: float = WITHIN_S) -> int:
        """The exit code of a consumer that was told to end. Raises StreamError: it does not."""
        wait_until(lambda: consumer.process.exitcode is not None, f"{consumer.role}/{consumer.instance} ends", within_s)
        self.consumers.pop(f"{consumer.role}/{consumer.instance}", None)
        return int(consumer.process.exitcode)

    def start_missing(self) -> None:
        """Let there be a maturity and a lake consumer `a`."""
        for role in ("maturity", "lake"):
            if f"{role}/a" not in self.consumers:
                self.start(role)

    def revive(self) -> None:
        """Start again who died, or found nobody to talk to. Raises StreamError: one ended for another reason."""
        for consumer in list(self.consumers.values()):
            code = consumer.process.exitcode
            if code is not None and code >= 0 and code != EnvironmentFault.exit_code:
                raise StreamError(f"{consumer.role}/{consumer.instance} ended with exit code {code}{self.told()}")
            if code is not None:
                self.start(consumer.role, consumer.instance)

    def wait(self, met: Callable[[], object], what: str) -> None:
        """Wait for something, as a supervisor that starts again who died. Servers that are away answer no."""
        def asked() -> object:
            self.revive()
            with suppress(*AWAY):
                return met()
            return False
        try:
            wait_until(asked, what)
        except StreamError as fault:
            raise StreamError(f"{fault}{self.told()}") from None

    def told(self) -> str:
        """The first and the last that each consumer said."""
        return "".join(f"\n--- {name}\n{''.join(consumer.said[:8])} …\n{''.join(consumer.said[-8:])}"
                       for name, consumer in self.consumers.items())

    def limit_files(self, pid: int, size: int) -> None:
        """From now on that process can write no file beyond `size` bytes: its disk is full (resource.RLIM_INFINITY: not)."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    # Events

    def day(self, count: int) -> list[dict[str, Any]]:
        """The next day's events in ingest order: one in ten late, one in twenty an id that was there before."""
        rng, day_ms = self.rng, self.now_ms
        self.now_ms += MS_PER_DAY
        ingest = day_ms + np.sort(rng.integers(0, MS_PER_DAY - 60_000, count))
        late = (rng.random(count) < 0.1) * rng.integers(0, 9 * MS_PER_DAY, count)
        items, users = np.minimum(rng.zipf(1.3, count), ITEMS), rng.integers(0, USERS, count)
        kinds = rng.choice([IMPRESSION, CLICK, ORDER], count, p=[0.75, 0.2, 0.05])
        events = []
        for n in range(count):
            if self.recent and rng.random() < 0.05:
                events.append(self.recent[int(rng.integers(len(self.recent)))] | {"ingest_ms": int(ingest[n])})
                continue
            self.sent += 1
            event = {"event_id": f"e{self.sent}", "event_type": str(kinds[n]), "user_id": f"u{users[n]}",
                     "item_id": f"i{items[n]}", "event_time": int(ingest[n] - late[n]), "ingest_ms": int(ingest[n])}
            events.append(event)
            self.recent.append(event)
        del self.recent[:-20_000]
        return events

    def send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            wire = {name: value for name, value in event.items() if name != "ingest_ms"}
            self.producer.send(self.config.events_topic, event["item_id"].encode(), msgspec.json.encode(wire),
                               time_ms=event["ingest_ms"])
        self.producer.flush()

    def close_part(self, events: list[dict[str, Any]]) -> None:
        """Time passes the last of these events on every partition, so that their rows are published."""
        self.pass_time(events[-1]["ingest_ms"])

    def publish(self, events: list[dict[str, Any]], told: str) -> None:
        """Send them, let time pass them, and wait until their rows are published."""
        self.send(events)
        self.close_part(events)
        self.wait(self.caught_up, told)

    def close_day(self) -> None:
        self.pass_time(self.now_ms)

    def pass_time(self, time_ms: int) -> None:
        for partition in range(self.config.partitions):
            write_heartbeat(self.producer, self.config.events_topic, partition, time_ms)
        self.producer.flush()

    def signal(self, consumer: Consumer, sent: signal.Signals) -> None:
        os.kill(consumer.process.pid, sent)

    # How far the consumers are

    def caught_up(self) -> bool:
        ends = self.broker.end_offsets(self.config.events_topic, range(self.config.partitions))
        for partition, end in ends.items():
            at = self.store.position(partition)
            if end and (at is None or at.offset < end):
                return False
            if self.store.client.hlen(self.store.key(partition, "outbox")):
                return False
        return True

    def lake_caught_up(self) -> bool:
        table, topic = self.config.layout.table("events"), self.config.events_topic
        ends = self.broker.end_offsets(topic, range(self.config.partitions))
        return all((read_transaction(table, f"{self.config.group}-lake/{topic}/{p}") or 0) >= end for p, end in ends.items())

    def close(self) -> None:
        for consumer in list(self.consumers.values()):
            consumer.process.kill()
        with suppress(*AWAY):
            self.producer.close()
            self.broker.close()
        for server in (self.kafka, self.valkey):
            server.end(signal.SIGKILL)
