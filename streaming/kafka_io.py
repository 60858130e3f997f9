"""Kafka, wrapped: kafka-python is imported here and by group_consumer.py alone. Elsewhere partitions are plain numbers."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic, OffsetSpec
from kafka.errors import KafkaError as KafkaError
from kafka.errors import TopicAlreadyExistsError
from kafka.partitioner.default import murmur2
from numpy.typing import NDArray

from features.errors import EnvironmentFault, StreamError

TIME_TYPE, APPEND_TIME, CREATE_TIME = "message.timestamp.type", "LogAppendTime", "CreateTime"
BOOTSTRAP_TIMEOUT_MS = 5_000
RECONNECT_MAX_MS = 1_000  # a broker that comes back is found this soon


class TopicPart(NamedTuple):
    topic: str
    partition: int


@dataclass
class Records:
    """A partition's records of one poll, as columns, in log order."""

    offset: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    key: list[bytes | None]
    value: list[bytes | None]
    headers: list[dict[str, bytes | None]] = field(default_factory=list)  # only where read_range read them

    def __len__(self) -> int:
        return len(self.value)

    @property
    def next_offset(self) -> int:
        return int(self.offset[-1]) + 1


def columns(records: Sequence[Any], with_headers: bool = False) -> Records:
    return Records(
        np.array([r.offset for r in records], np.int64), np.array([r.timestamp for r in records], np.int64),
        [r.key for r in records], [r.value for r in records], [dict(r.headers) for r in records] if with_headers else [])


def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's default partitioner puts a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def unreachable(bootstrap: str, fault: Exception) -> EnvironmentFault:
    return EnvironmentFault(f"the Kafka broker at {bootstrap} does not answer ({fault!r}): start it (`gatesid up`) or set "
                            "GATESID_KAFKA")


class Broker:
    """Questions to, and settings of, the cluster."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        try:
            self.admin = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS)
        except KafkaError as fault:
            raise unreachable(bootstrap, fault) from None

    def close(self) -> None:
        self.admin.close()

    def cluster_id(self) -> str:
        return str(self.admin.describe_cluster()["cluster_id"])

    def partition_counts(self) -> dict[str, int]:
        """{topic: number of partitions} of every topic."""
        return {t["name"]: len(t["partitions"]) for t in self.admin.describe_topics()}

    def check_topics(self, expected: Mapping[str, int | None]) -> None:
        """Raises StreamError, naming every topic that is missing or has another number of partitions (None: any)."""
        found = self.partition_counts()
        faults = [f"topic {name} is missing" if name not in found else
                  f"topic {name} has {found[name]} partitions, [kafka] partitions says {count}"
                  for name, count in expected.items() if name not in found or found[name] != (count or found[name])]
        if faults:
            raise StreamError(f"{self.bootstrap}: {'; '.join(faults)}. Create the topics (`gatesid up`) or correct the "
                              "settings; a "
                              "change of the partition count moves items, so it needs new state: `python -m streaming seed`")

    def ensure_topics(self, wanted: Mapping[str, tuple[int, Mapping[str, str]]]) -> None:
        """Create what is missing: {topic: (partitions, settings)}. Then check the counts."""
        found = self.partition_counts()
        new = [NewTopic(name, partitions, 1, topic_configs=dict(config))
               for name, (partitions, config) in wanted.items() if name not in found]
        if new:
            with suppress(TopicAlreadyExistsError):  # someone else was as quick
                self.admin.create_topics(new)
            self.admin.wait_for_topics([topic.name for topic in new])
        self.check_topics({name: partitions for name, (partitions, _) in wanted.items()})

    def set_append_time(self, topic: str, on: bool) -> None:
        """Whether the broker's clock stamps the records (live) or the producer's time is kept (replay)."""
        setting = {TIME_TYPE: APPEND_TIME if on else CREATE_TIME}
        self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, setting)])

    def is_append_time(self, topic: str) -> bool:
        found = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return config_value(found, TIME_TYPE) == APPEND_TIME

    def offsets_at(self, topic: str, partitions: Iterable[int], when: OffsetSpec | int) -> dict[int, tuple[int, int]]:
        """{partition: (offset, timestamp)}; (-1, -1) where there is no such record."""
        asked = {TopicPartition(topic, p): when for p in partitions}
        found = self.admin.list_partition_offsets(asked) if asked else {}
        return {tp.partition: (-1, -1) if at is None else (at.offset, at.timestamp) for tp, at in found.items()}

    def begin_offsets(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        return {p: at[0] for p, at in self.offsets_at(topic, partitions, OffsetSpec.EARLIEST).items()}

    def end_offsets(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        return {p: at[0] for p, at in self.offsets_at(topic, partitions, OffsetSpec.LATEST).items()}

    def newest_times(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """{partition: the largest record timestamp}, -1 where it is empty."""
        return {p: at[1] for p, at in self.offsets_at(topic, partitions, OffsetSpec.MAX_TIMESTAMP).items()}


def config_value(described: Any, name: str) -> str | None:
    """One setting out of what describe_configs answers: a value under a key `name` at some depth."""
    if isinstance(described, dict):
        if name in described:
            entry = described[name]
            return str(entry.get("value")) if isinstance(entry, dict) else str(entry)
        return next((v for v in (config_value(x, name) for x in described.values()) if v is not None), None)
    if isinstance(described, list | tuple):
        return next((v for v in (config_value(x, name) for x in described) if v is not None), None)
    return None


class Producer:
    """Idempotent and acknowledged by all; a failed send shows at the next flush."""

    def __init__(self, bootstrap: str, linger_ms: int = 5) -> None:
        try:
            self.producer = KafkaProducer(
                bootstrap_servers=bootstrap, linger_ms=linger_ms, acks="all", batch_size=131_072, max_request_size=2_000_000,
                bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS, reconnect_backoff_max_ms=RECONNECT_MAX_MS)
        except KafkaError as fault:
            raise unreachable(bootstrap, fault) from None
        self.failed: list[Exception] = []

    def send(self, topic: str, key: bytes | None, value: bytes | None, *, partition: int | None = None,
             time_ms: int | None = None, headers: list[tuple[str, bytes]] | None = None) -> None:
        sent = self.producer.send(topic, value=value, key=key, partition=partition, timestamp_ms=time_ms, headers=headers)
        sent.add_errback(self.failed.append)

    def flush(self) -> None:
        """Returns when everything sent is in the log. Raises EnvironmentFault: something is not."""
        try:
            self.producer.flush(timeout=60)
        except KafkaError as fault:
            self.failed.append(fault)
        if self.failed:
            failed, self.failed = self.failed, []
            raise EnvironmentFault(f"{len(failed)} records were not accepted by the broker, the first because of {failed[0]!r}")

    def close(self) -> None:
        self.producer.close(timeout=5)


def read_range(bootstrap: str, part: TopicPart, start: int, end: int) -> Iterable[Records]:
    """The records of one partition in [start, end), with their headers, outside any group."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none",
                             max_poll_records=5_000, bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS)
    try:
        tp = TopicPartition(*part)
        consumer.assign([tp])
        consumer.seek(tp, start)
        while consumer.position(tp) < end:
            for records in consumer.poll(timeout_ms=1_000).values():
                kept = [r for r in records if r.offset < end]
                if kept:
                    yield columns(kept, with_headers=True)
    finally:
        consumer.close()
