"""The rebuild against the definition read literally (R26): the value at every tick, counted event by event."""

import random

import pytest

from features.windows import HOUR_MS, WINDOW_MS
from spark_jobs import item_stats
from spark_jobs.event_log import first_sightings

pytestmark = pytest.mark.spark
INTERVAL_MS = HOUR_MS // 4
DAY_MS = 24 * HOUR_MS
SCHEMA = "event_id string, event_type string, item_id string, event_ms long, ingest_ms long, partition int, offset long"


def value(events, item, tick):
    """Distinct events with ingest_time < T and floor_hour(T) - 168 h <= event_time < T, by type."""
    low = tick - tick % HOUR_MS - WINDOW_MS
    counted = {event_id: kind for event_id, kind, of, at, ingest in reversed(events)
               if of == item and ingest < tick and low <= at < tick}
    return list(counted.values()).count("impression"), list(counted.values()).count("click")


def published(events, until):
    rows = []
    for item in sorted({event[2] for event in events}):
        last = (0, 0)
        for tick in range(INTERVAL_MS, until + 1, INTERVAL_MS):
            now = value(events, item, tick)
            if now != last:
                rows.append((item, tick, *now))
                last = now
    return rows


def test_every_row_is_the_change_of_the_literal_value(spark):
    draw = random.Random(11)
    events = []
    for n in range(120):
        at = draw.randrange(5 * DAY_MS)
        late = draw.choice([0, 1, 40_000, 5 * HOUR_MS, 2 * DAY_MS, -240_000])
        events.append((f"e{n}", draw.choice(["impression", "click"]), f"i{n % 3}", at, max(at + late, 0)))
    events += [(*event[:4], event[4] + draw.randrange(3 * DAY_MS)) for event in draw.sample(events, 30)]
    events.sort(key=lambda event: event[4])
    until = 13 * DAY_MS
    log = spark.createDataFrame([(*event, 0, offset) for offset, event in enumerate(events)], SCHEMA)
    rows = item_stats.maturity_rows(first_sightings(log), 0, until, INTERVAL_MS, buckets=2).collect()
    assert sorted(tuple(row) for row in rows) == published(events, until)
