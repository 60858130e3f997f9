"""Plays days of a prepared data set into Kafka in virtual time: the record's timestamp is the event's ingest time.

The topics keep the producer's timestamps meanwhile; at each day's end every partition gets a heartbeat with that day's end,
so that its ticks and the lake's watermark pass midnight. What a partition holds already is skipped, so a replay that was
killed goes on, and a second one sends nothing. A replay whose `as_of` is today has reached the present: it hands the topics
to the broker's clock (live).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from features.artefacts import read_manifest
from features.clock import MS_PER_DAY, day_start_ms, days_between
from features.errors import StreamError
from streaming.config import StreamConfig
from streaming.heartbeat import write_heartbeat
from streaming.kafka_io import Broker, Producer, TopicPart, partition_of, read_range

KIND = "dataset"
CHUNK = 20_000
encode = msgspec.json.encode


@dataclass
class Replayed:
    events: int = 0
    items: int = 0
    skipped: int = 0
    live: bool = False
    days: list[str] = field(default_factory=list)


class Replay:
    def __init__(self, config: StreamConfig, broker: Broker, producer: Producer, speed: float | None,
                 tell: Callable[[str], None]) -> None:
        self.config, self.broker, self.producer, self.tell = config, broker, producer, tell
        self.speed = speed
        self.done = Replayed()
        self.partition: dict[str, int] = {}
        self.began = time.monotonic()

    def run(self, dataset: str, start: date, as_of: date, live: bool) -> Replayed:
        """Raises ArtefactError: no such data set. StreamError: it has no file for any of the days."""
        folder = self.config.layout.dataset(dataset)
        read_manifest(folder, kind=KIND)
        days = days_between(start, as_of)
        files = [folder / "events" / f"{ds}.parquet" for ds in days]
        if not any(file.is_file() for file in files):
            raise StreamError(f"{folder} has no events of {start} to {as_of} (excluded): prepare the data set again, or "
                              "choose its days")
        topics = (self.config.events_topic, self.config.catalog_topic)
        held = {topic: self.newest(topic) for topic in topics}
        if min(newest for newest, _ in held[self.config.events_topic].values()) > day_start_ms(as_of):
            self.tell(f"{self.config.events_topic} is past {as_of} already: nothing to send, the topics stay as they are")
            return self.done
        for topic in topics:
            self.broker.set_append_time(topic, False)
        self.first_ms = day_start_ms(start)
        for ds, file in zip(days, files, strict=True):
            self.play_day(ds, file, folder / "items.parquet", held)
        if live:
            for topic in topics:
                self.broker.set_append_time(topic, True)
            self.done.live = True
        return self.done

    def newest(self, topic: str) -> dict[int, tuple[int, set[bytes]]]:
        """Per partition the newest timestamp in the log, and the values of the records that carry it."""
        parts = range(self.config.partitions)
        times, ends = self.broker.newest_times(topic, parts), self.broker.end_offsets(topic, parts)
        asked = [p for p in parts if times[p] >= 0]
        found = {p: self.broker.offsets_at(topic, [p], times[p])[p][0] for p in asked}
        held: dict[int, tuple[int, set[bytes]]] = {p: (-1, set()) for p in parts}
        for p in asked:
            values: set[bytes] = set()
            for records in read_range(self.config.bootstrap, TopicPart(topic, p), found[p], ends[p]):
                values.update(value for value, at in zip(records.value, records.time_ms.tolist(), strict=True)
                              if value is not None and at == times[p])
            held[p] = (times[p], values)
        return held

    def play_day(self, ds: str, file: Path, items_file: Path, held: dict[str, dict[int, tuple[int, set[bytes]]]]) -> None:
        start_ms = day_start_ms(date.fromisoformat(ds))
        self.publish_items(items_file, start_ms, held[self.config.catalog_topic])
        if file.is_file():
            for rows in pq.ParquetFile(file).iter_batches(CHUNK):
                self.play_rows(rows, held[self.config.events_topic])
        end_ms = start_ms + MS_PER_DAY
        for partition in range(self.config.partitions):
            if held[self.config.events_topic][partition][0] < end_ms:
                write_heartbeat(self.producer, self.config.events_topic, partition, end_ms)
        self.producer.flush()
        self.done.days.append(ds)
        self.show(ds)

    def play_rows(self, rows: pa.RecordBatch, held: dict[int, tuple[int, set[bytes]]]) -> None:
        for event, time_ms in wire_events(rows):
            self.send(self.config.events_topic, event["item_id"], encode(event), time_ms, held)
            if self.speed is not None:
                self.wait_for(time_ms)
        self.producer.flush()

    def send(self, topic: str, item: str, value: bytes, time_ms: int, held: dict[int, tuple[int, set[bytes]]]) -> None:
        partition = self.partition.get(item)
        if partition is None:
            partition = self.partition[item] = partition_of(item.encode(), self.config.partitions)
        newest, values = held[partition]
        if time_ms < newest or (time_ms == newest and value in values):
            self.done.skipped += 1
            return
        self.producer.send(topic, item.encode(), value, partition=partition, time_ms=time_ms)
        if topic == self.config.events_topic:
            self.done.events += 1
        else:
            self.done.items += 1

    def publish_items(self, file: Path, start_ms: int, held: dict[int, tuple[int, set[bytes]]]) -> None:
        """The items that go online on this day, at the moment they do."""
        window = [("published_at_ms", ">=", start_ms), ("published_at_ms", "<", start_ms + MS_PER_DAY)]
        for row in pq.read_table(file, filters=window).sort_by("published_at_ms").to_pylist():
            item: dict[str, Any] = {"item_id": row["item_id"], "published_at": row["published_at_ms"]}
            if row["title"] is not None:
                item["title"] = row["title"]
            if row["attributes"] is not None:
                item["attributes"] = msgspec.json.decode(row["attributes"])
            if row["vector"] is not None:
                item["vector"] = row["vector"]
            self.send(self.config.catalog_topic, row["item_id"], encode(item), row["published_at_ms"], held)
        self.producer.flush()

    def wait_for(self, time_ms: int) -> None:
        """Sleep until the virtual moment has come, at `speed` virtual seconds a second."""
        ahead_s = (time_ms - self.first_ms) / 1000 / (self.speed or 1) - (time.monotonic() - self.began)
        if ahead_s > 0.05:
            self.producer.flush()
            time.sleep(ahead_s)

    def show(self, ds: str) -> None:
        rate = self.done.events / max(time.monotonic() - self.began, 1e-3)
        self.tell(f"replay {ds} | {self.done.events:,} ev | {self.done.items:,} items | {self.done.skipped:,} there "
                  f"already | {rate / 1000:.1f}k/s")


def wire_events(rows: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], int]]:
    """(the event as it is on the wire, its ingest time) of each row."""
    for row in rows.to_pylist():
        event = {"event_id": row["event_id"], "event_type": row["event_type"], "user_id": row["user_id"],
                 "item_id": row["item_id"], "event_time": row["event_time_ms"]}
        if row.get("request_id") is not None:
            event["request_id"] = row["request_id"]
        if row.get("context") is not None:
            event["context"] = msgspec.Raw(row["context"].encode())
        yield event, row["ingest_time_ms"]
