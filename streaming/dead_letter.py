"""Records that are no events: kept as they came, with the reason and where they stood.

Key: `<topic>/<partition>/<offset>`, so a record that is met again after a crash is recognisably the same letter. Value: the
record's value, untouched. Headers: reason, detail, topic, partition, offset, time_ms, key, and bytes (the value is cut at
MAX_KEPT_BYTES, or a record as large as the broker takes could not be buried and would stop the stream).
"""

from collections.abc import Iterable

from streaming.decode import Rejected
from streaming.kafka_io import Producer, Records, TopicPart

MAX_KEPT_BYTES = 900_000


class DeadLetters:
    def __init__(self, producer: Producer, topic: str) -> None:
        self.producer = producer
        self.topic = topic

    def send(self, part: TopicPart, records: Records, rejected: Iterable[Rejected]) -> None:
        """Returns when they are in the log. Raises StreamError: they are not, so the batch must not be committed."""
        sent = 0
        for letter in rejected:
            i = letter.position
            offset = int(records.offset[i])
            value = records.value[i]
            headers = {"reason": letter.reason, "detail": letter.detail[:1_000], "topic": part.topic,
                       "partition": str(part.partition), "offset": str(offset), "time_ms": str(int(records.time_ms[i])),
                       "bytes": str(len(value or b""))}
            pairs = [(name, text.encode("utf-8", "replace")) for name, text in headers.items()]
            key = records.key[i]
            self.producer.send(self.topic, f"{part.topic}/{part.partition}/{offset}".encode(), value and value[:MAX_KEPT_BYTES],
                               headers=pairs if key is None else [*pairs, ("key", key)])
            sent += 1
        if sent:
            self.producer.flush()
