"""Time for silent partitions: their owner writes a record that carries time and nothing else, so that ticks complete.

The broker stamps it with append time. Should the topic keep the producer's timestamps (a replay in virtual time), live
heartbeats must not move its time: they are held back, and one that slips through while the setting changes carries the
partition's own watermark, which moves nothing.
"""

import time

from streaming.decode import HEARTBEAT_VALUE
from streaming.kafka_io import Broker, Producer

LOOK_EVERY_S = 5.0


class Heartbeats:
    def __init__(self, producer: Producer, broker: Broker, topic: str, silence_ms: int) -> None:
        self.producer, self.broker, self.topic = producer, broker, topic
        self.silence_s = silence_ms / 1000
        self.last: dict[int, float] = {}
        self.append_time = False
        self.looked = -LOOK_EVERY_S

    def heard(self, partition: int) -> None:
        """A record of the partition was read."""
        self.last[partition] = time.monotonic()

    def beat(self, watermarks: dict[int, int]) -> int:
        """Write to those of these partitions that were silent for long enough; how many. {partition: watermark_ms}."""
        now = time.monotonic()
        silent = [p for p in watermarks if now - self.last.setdefault(p, now) >= self.silence_s]
        if not silent:
            return 0
        if now - self.looked >= LOOK_EVERY_S:
            self.append_time, self.looked = self.broker.is_append_time(self.topic), now
        if not self.append_time:
            return 0
        for partition in silent:
            write_heartbeat(self.producer, self.topic, partition, max(watermarks[partition], 0))
            self.last[partition] = now
        return len(silent)


def write_heartbeat(producer: Producer, topic: str, partition: int, time_ms: int) -> None:
    producer.send(topic, None, HEARTBEAT_VALUE, partition=partition, time_ms=time_ms)
