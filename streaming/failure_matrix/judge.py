"""The truth of a run, counted from the raw topic in plain Python: no decoder, no state and no Spark of ours."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.events import CLICK, EVENT_TYPES, IMPRESSION
from features.spec import HISTORY_KEPT
from features.windows import DEDUPE_HORIZON_MS, HOUR_MS, MAX_FUTURE_MS, WINDOW_HOURS, published_rows
from streaming.config import StreamConfig
from streaming.kafka_io import Broker, TopicPart, read_range

Row = tuple[str, int, int, int]  # item_id, tick_ms, exposure_7d, click_7d


@dataclass
class Truth:
    rows: set[Row]
    histories: dict[str, list[str]]  # items per user, oldest first
    records: int
    counted: int


def truth_of(config: StreamConfig, broker: Broker, until_ms: int) -> Truth:
    """What had to be published at the ticks up to `until_ms`."""
    events: list[dict[str, Any]] = []
    records = 0
    ends = broker.end_offsets(config.events_topic, range(config.partitions))
    for partition, end in ends.items():
        part, watermark_ms = TopicPart(config.events_topic, partition), -1
        seen: dict[str, int] = {}
        for batch in read_range(config.bootstrap, part, 0, end):
            for key, value, time_ms in zip(batch.key, batch.value, batch.time_ms.tolist(), strict=True):
                watermark_ms = max(watermark_ms, time_ms)
                records += 1
                event = readable(key, value, watermark_ms, config.interval_ms)
                if event is None:
                    continue
                last_seen = seen.get(event["event_id"])
                seen[event["event_id"]] = watermark_ms
                if last_seen is None or watermark_ms - last_seen > DEDUPE_HORIZON_MS:
                    events.append(event | {"ingest_ms": watermark_ms})
    return Truth(rows_of(events, config.interval_ms, until_ms), histories_of(events), records, len(events))


def readable(key: bytes | None, value: bytes | None, ingest_ms: int, interval_ms: int) -> dict[str, Any] | None:
    """The event in a record, None if it is none or of a time that no tick would count."""
    try:
        event = json.loads(value or b"")
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("event_type") not in EVENT_TYPES:
        return None
    names, at = [event.get(name) for name in ("event_id", "user_id", "item_id")], event.get("event_time")
    if not all(isinstance(name, str) and name for name in names) or type(at) is not int or key != str(names[2]).encode():
        return None
    if not isinstance(event.get("context"), dict | None) or at > ingest_ms + MAX_FUTURE_MS:
        return None
    enter = (max(at, ingest_ms) // interval_ms + 1) * interval_ms
    leave = at // HOUR_MS * HOUR_MS + (WINDOW_HOURS + 1) * HOUR_MS
    return event if enter < leave else None


def rows_of(events: list[dict[str, Any]], interval_ms: int, until_ms: int) -> set[Row]:
    shown = [event for event in events if event["event_type"] in (IMPRESSION, CLICK)]
    items = sorted({event["item_id"] for event in shown})
    number = {item: n for n, item in enumerate(items)}
    columns = published_rows(
        np.array([number[event["item_id"]] for event in shown]), np.array([event["event_type"] == CLICK for event in shown]),
        np.array([event["event_time"] for event in shown]), np.array([event["ingest_ms"] for event in shown]), interval_ms,
        until_ms)
    return {(items[i], tick, x, c) for i, tick, x, c in zip(*(column.tolist() for column in columns), strict=True)}


def histories_of(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    takes: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for event in events:
        if event["event_type"] != IMPRESSION:
            takes[event["user_id"]].append((event["event_time"], event["event_id"], event["item_id"]))
    return {user: [item for _, _, item in sorted(taken)[-HISTORY_KEPT:]] for user, taken in takes.items()}
