"""The lake role: raw events and catalogue records into Delta tables, each exactly once, by a consumer group of its own.

The commit that brings rows carries, per partition, the next offset to read and the watermark (the largest ingest time met,
of heartbeats and refused records too). Refused records are the maturity role's (events) and the catalogue role's (items) to
bury; here they are left out, so table and counts agree on what an event is.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from features.catalogue import ITEM_COLUMNS
from features.clock import day_start_ms
from features.errors import StreamError
from features.events import EVENT_COLUMNS, EVENT_TYPES
from features.names import DS, TABLE_EVENTS, TABLE_ITEMS
from features.windows import HOUR_MS
from streaming.config import StreamConfig
from streaming.decode import Events, admit, decode_events
from streaming.decode_items import Item, decode_items
from streaming.kafka_io import Records, TopicPart
from streaming.lake_tables import LakeTable, day_of, read_transaction
from streaming.report import Report

SOURCE = "kafka"
FLUSH_ROWS = 50_000
FLUSH_EVERY_S = 2.0


@dataclass
class Pending:
    """A partition's records since its last commit."""

    start: int | None  # next offset by the table; None if it has none
    watermark_ms: int  # so far
    committed_watermark_ms: int
    offset: int | None = None  # next to read, once something was read
    rows: list[pa.Table] = field(default_factory=list)


def watermark_app(topic: str, partition: int) -> str:
    return f"watermark/{topic}/{partition}"


class LakeRole:
    name = "lake"

    def __init__(self, config: StreamConfig, cluster_id: str, report: Report) -> None:
        self.config, self.report = config, report
        self.group = f"{config.group}-lake"
        self.topics = [config.events_topic, config.catalog_topic]
        self.tables = {config.events_topic: LakeTable(config.layout.table(TABLE_EVENTS), EVENT_COLUMNS, [DS]),
                       config.catalog_topic: LakeTable(config.layout.table(TABLE_ITEMS), ITEM_COLUMNS)}
        self.cluster = int(hashlib.sha256(cluster_id.encode()).hexdigest()[:15], 16)
        self.pending: dict[TopicPart, Pending] = {}
        self.positions: dict[TopicPart, int] = {}
        self.flushed = time.monotonic()

    def app(self, part: TopicPart) -> str:
        return f"{self.group}/{part.topic}/{part.partition}"

    def cluster_app(self, topic: str) -> str:
        return f"{self.group}/{topic}/cluster"

    def on_assigned(self, parts: list[TopicPart]) -> Mapping[TopicPart, int | None]:
        for table in self.tables.values():
            table.refresh()
        return {part: self.load(part) for part in parts}

    def on_revoked(self, parts: list[TopicPart]) -> None:
        """What was not committed is read again by the next owner."""
        for part in parts:
            self.pending.pop(part, None)
            self.positions.pop(part, None)

    def load(self, part: TopicPart) -> int | None:
        """Where the table says to go on. Raises StreamError: its offsets are another cluster's."""
        table = self.tables[part.topic]
        cluster = table.transaction(self.cluster_app(part.topic))
        if cluster not in (None, self.cluster):
            raise StreamError(f"{table.path} holds offsets of another Kafka cluster than {self.config.bootstrap}'s: "
                              "connect to that one, or set "
                              "another [stream] group, which reads the topic from its beginning")
        start = table.transaction(self.app(part))
        watermark = table.transaction(watermark_app(part.topic, part.partition)) if start is not None else None
        self.pending[part] = Pending(start, watermark or -1, watermark or -1)
        self.positions[part] = start or 0
        return start

    def handle(self, part: TopicPart, records: Records) -> None:
        pending = self.pending.get(part)
        if pending is None:
            return
        ingest_ms = np.maximum.accumulate(np.maximum(records.time_ms, pending.watermark_ms))
        outcomes = self.report.progress.outcomes
        if part.topic == self.config.events_topic:
            decoded = decode_events(records.key, records.value, ingest_ms)
            events, refused = admit(decoded.events, self.config.interval_ms)
            outcomes.update({"counted": len(events), "refused": len(decoded.rejected + refused),
                             "heartbeat": decoded.heartbeats})
            if len(events):
                pending.rows.append(self.event_rows(part, records, events))
        else:
            items, rejected = decode_items(records.key, records.value, ingest_ms)
            outcomes.update({"items": len(items), "refused": len(rejected)})
            if items:
                pending.rows.append(self.item_rows(part, records, items))
        pending.offset, pending.watermark_ms = records.next_offset, int(ingest_ms[-1])
        self.positions[part] = pending.offset
        self.report.progress.records += len(records)
        marks = [p.watermark_ms for held, p in self.pending.items() if held.topic == self.config.events_topic]
        self.report.progress.watermark_ms = min(marks, default=-1)

    def event_rows(self, part: TopicPart, records: Records, events: Events) -> pa.Table:
        count = len(events)
        return self.tables[part.topic].rows({
            "event_id": events.event_id, "event_type": [EVENT_TYPES[kind] for kind in events.kind.tolist()],
            "user_id": events.user_id, "item_id": events.item_id, "event_time": events.event_ms,
            "request_id": events.request_id, "context": events.context,
            "ingest_time": events.ingest_ms, "source": [SOURCE] * count, "partition": np.full(count, part.partition, np.int32),
            "offset": records.offset[events.position], DS: day_of(events.ingest_ms)})

    def item_rows(self, part: TopicPart, records: Records, items: list[Item]) -> pa.Table:
        count = len(items)
        encode = msgspec.json.Encoder(order="sorted").encode
        return self.tables[part.topic].rows({
            "item_id": [item.item_id for item in items], "title": [item.content.title for item in items],
            "attributes": [encode(item.content.attributes).decode() if item.content.attributes else None for item in items],
            "published_at": [item.published_ms for item in items], "vector": [item.content.vector for item in items],
            "ingest_time": [item.ingest_ms for item in items], "source": [SOURCE] * count,
            "partition": np.full(count, part.partition, np.int32), "offset": records.offset[[item.position for item in items]]})

    def settle(self, idle: bool) -> dict[TopicPart, int | None]:
        """Commit when there is enough, or enough time passed, or a watermark passed a full hour."""
        waiting = sum(len(rows) for p in self.pending.values() for rows in p.rows)
        passed = any(p.watermark_ms // HOUR_MS > p.committed_watermark_ms // HOUR_MS for p in self.pending.values())
        timely = time.monotonic() - self.flushed >= FLUSH_EVERY_S and (waiting > 0 or passed)
        if waiting >= FLUSH_ROWS or timely or (idle and passed):
            return self.flush()
        return {}

    def flush(self) -> dict[TopicPart, int | None]:
        self.flushed = time.monotonic()
        again: dict[TopicPart, int | None] = {}
        for topic, table in self.tables.items():
            again |= self.flush_table(topic, table)
            if TopicPart(topic, 0) in self.pending:  # one of the group keeps the table tidy
                table.tidy()
        return again

    def flush_table(self, topic: str, table: LakeTable) -> dict[TopicPart, int | None]:
        """One commit of everything pending for a table; partitions that someone else has taken further are read again."""
        again: dict[TopicPart, int | None] = {}
        while True:
            table.refresh()
            mine = {part: p for part, p in self.pending.items() if part.topic == topic and p.offset is not None}
            for part, pending in mine.items():
                if table.transaction(self.app(part)) != pending.start:
                    again[part] = self.load(part)
            mine = {part: p for part, p in mine.items() if part not in again}
            if not mine:
                return again
            rows = pa.concat_tables([table.schema.empty_table(), *(rows for p in mine.values() for rows in p.rows)])
            numbers = {self.cluster_app(topic): self.cluster}
            for part, p in mine.items():
                numbers |= {self.app(part): p.offset or 0, watermark_app(topic, part.partition): p.watermark_ms}
            if table.append(rows, numbers):
                for part, p in mine.items():
                    self.pending[part] = Pending(p.offset, p.watermark_ms, p.watermark_ms)
                return again

    def finish(self) -> None:
        self.flush()


def lake_watermark_ms(events_table: Path, topic: str, partitions: int) -> int | None:
    """Up to when Kafka's events are in the lake: the smallest last ingest time over all partitions; None if any was never
    read."""
    marks = [read_transaction(events_table, watermark_app(topic, p)) for p in range(partitions)]
    return None if None in marks else min(mark for mark in marks if mark is not None)


def day_is_complete(events_table: Path, topic: str, partitions: int, as_of: date) -> bool:
    """Whether every event ingested before 00:00 of `as_of` is in the lake: from Kafka, or because history was loaded up to
    there."""
    mark = lake_watermark_ms(events_table, topic, partitions)
    if mark is not None and mark >= day_start_ms(as_of):
        return True
    return read_transaction(events_table, f"history:{as_of - timedelta(days=1)}") is not None
