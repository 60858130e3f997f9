"""One stream per test: topics, group and state folder of its own on the shared broker and Valkey."""

import threading
import time
import uuid
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from features.clock import SystemClock
from features.events import CLICK, IMPRESSION
from features.windows import published_rows
from streaming.config import StreamConfig
from streaming.consumer import MaturityRole
from streaming.dead_letter import DeadLetters
from streaming.heartbeat import Heartbeats, write_heartbeat
from streaming.kafka_io import Broker, Producer
from streaming.report import Report
from streaming.role import Stop, run_role
from streaming.sinks import MemorySink
from streaming.state_store import Identity
from streaming.user_history import UserHistories
from streaming.valkey_store import ValkeyStateStore, connect

T0 = 1_767_225_600_000  # 2026-01-01 00:00 UTC


def eventually(met, seconds=90.0):
    """Wait for a condition; its last value."""
    end = time.monotonic() + seconds
    while not (value := met()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


class StreamUnderTest:
    def __init__(self, config):
        self.config = config
        self.broker, self.producer = Broker(config.bootstrap), Producer(config.bootstrap, linger_ms=0)
        self.broker.ensure_topics({
            config.events_topic: (config.partitions, {}),
            config.catalog_topic: (config.partitions, {"cleanup.policy": "compact"}), config.dead_letters_topic: (1, {})})
        self.client = connect(config.valkey_url)
        self.running = []

    def store(self):
        config = self.config
        identity = Identity(self.broker.cluster_id(), config.events_topic, config.partitions, config.interval_ms,
                            config.dedupe_horizon_ms)
        return ValkeyStateStore(self.client, config.group, identity)

    def maturity(self, online=None, log=None, store=None, config=None):
        config = config or self.config
        online = online or MemorySink()
        return MaturityRole(
            config, store or self.store(), UserHistories(self.client, config.group), online, log or online, online,
            DeadLetters(self.producer, config.dead_letters_topic),
            Heartbeats(self.producer, self.broker, config.events_topic, config.heartbeat_ms), Report(config, "maturity"),
            SystemClock())

    def start(self, role):
        """Run a role in a thread; call what is returned to stop it."""
        stop, fault = Stop(), []

        def work():
            try:
                run_role(role.config, role, role.report, stop)
            except Exception as raised:
                fault.append(raised)

        thread = threading.Thread(target=work)
        thread.start()

        def end():
            stop.event.set()
            thread.join(20)
            if fault:
                raise fault[0]
        end.fault = fault
        self.running.append(end)
        return end

    def send(self, events, beat_ms=None):
        """Events (dicts with ingest_ms) in virtual time, then a heartbeat on every partition."""
        for event in events:
            wire = {k: v for k, v in event.items() if not k.endswith("_ms")} | {"event_time": event["event_time_ms"]}
            self.producer.send(self.config.events_topic, event["item_id"].encode(), msgspec.json.encode(wire),
                               time_ms=event["ingest_ms"])
        if beat_ms is not None:
            for partition in range(self.config.partitions):
                write_heartbeat(self.producer, self.config.events_topic, partition, beat_ms)
        self.producer.flush()

    def close(self):
        for end in self.running:
            end.fault.clear()  # who expected one has seen it
            end()
        self.producer.close()
        self.broker.close()


@pytest.fixture
def stream(tmp_path, broker, valkey):
    name = uuid.uuid4().hex[:8]
    made = StreamUnderTest(StreamConfig(
        tmp_path, broker, f"redis://{valkey}", f"test-{name}", 4, report_s=1.0, heartbeat_ms=300,
        events_topic=f"events-{name}", catalog_topic=f"catalog-{name}", dead_letters_topic=f"dead-letters-{name}"))
    yield made
    made.close()


@pytest.fixture
def with_settings():
    """with_settings(config, batch_records=…): the same stream otherwise."""
    return replace


@pytest.fixture
def wait_until():
    return eventually


@pytest.fixture
def make_events():
    """make_events(n): events of 30 items over four days in ingest order, some late, some sent twice."""
    def make(count=3_000, seed=1, start_ms=T0):
        rng = np.random.default_rng(seed)
        ingest = start_ms + np.sort(rng.integers(0, 4 * 86_400_000, count))
        late = rng.random(count) < 0.1
        times = ingest - late * rng.integers(0, 3 * 86_400_000, count)
        names = np.where(rng.random(count) < 0.05, rng.integers(0, count, count), np.arange(count))
        made, first = [], {}
        for n in range(count):
            event = first.get(f"e{names[n]}") or {
                "event_id": f"e{names[n]}", "event_type": CLICK if rng.random() < 0.3 else IMPRESSION,
                "user_id": f"u{rng.integers(0, 20)}", "item_id": f"i{rng.integers(0, 30)}", "event_time_ms": int(times[n])}
            first[event["event_id"]] = event
            made.append(event | {"ingest_ms": int(ingest[n])})
        return made
    return make


@pytest.fixture
def truth_of():
    """truth_of(events, until_ms): the set of rows that must be published."""
    def truth(events, until_ms):
        first = list({e["event_id"]: e for e in reversed(events)}.values())
        items = sorted({e["item_id"] for e in first})
        number = {item: n for n, item in enumerate(items)}
        rows = published_rows(
            np.array([number[e["item_id"]] for e in first]), np.array([e["event_type"] == CLICK for e in first]),
            np.array([e["event_time_ms"] for e in first]), np.array([e["ingest_ms"] for e in first]), until_ms=until_ms)
        return {(items[i], t, x, c) for i, t, x, c in zip(*(a.tolist() for a in rows), strict=True)}
    return truth
