"""How far the stream is: per partition the log's end, the state's offset and lag, the newest complete tick and its age."""

from features.clock import Clock, from_ms
from features.names import TABLE_EVENTS
from streaming.config import StreamConfig
from streaming.kafka_io import Broker
from streaming.raw_lake import lake_watermark_ms
from streaming.state_store import StateStore

ROLES = ("maturity", "lake", "catalog")


def status_lines(config: StreamConfig, broker: Broker, store: StateStore, clock: Clock) -> list[str]:
    parts = range(config.partitions)
    ends = broker.end_offsets(config.events_topic, parts)
    append_time = broker.is_append_time(config.events_topic)
    told = [f"{config.events_topic}: {sum(ends.values()):,} records in {config.partitions} partitions, "
            + ("live (broker append time)" if append_time else "virtual time (producer's timestamps)")]
    for partition in parts:
        at = store.position(partition)
        if at is None:
            told.append(f"  p{partition}: no state yet, {ends[partition]:,} records to read")
            continue
        age = f", {(clock.now_ms() - at.tick_ms) / 1000:,.0f} s old" if append_time else ""
        told.append(f"  p{partition}: offset {at.offset:,}, lag {max(0, ends[partition] - at.offset):,}, "
                    f"newest tick {from_ms(at.tick_ms):%Y-%m-%d %H:%M:%SZ}{age}")
    mark = lake_watermark_ms(config.layout.table(TABLE_EVENTS), config.events_topic, config.partitions)
    told.append("lake watermark: " + ("none from Kafka yet" if mark is None else f"{from_ms(mark):%Y-%m-%d %H:%M:%SZ}"))
    told += [f"role {role}: {'ready' if any(config.ready_file(role).parent.glob(f'stream-{role}*.ready')) else 'not ready'}"
             for role in ROLES]
    return told
