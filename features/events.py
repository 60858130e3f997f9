"""The event log's contract: one impression, click or order, on the wire and in the lake.

On the wire (topic `events`, key item_id) a record is one JSON object:

    {"event_id": "e-1", "event_type": "click", "user_id": "u7", "item_id": "i42",
     "event_time": 1767225600000, "request_id": "r9", "context": {"surface": "home"}}

`event_time` is integer milliseconds since the epoch, or an ISO 8601 string with an offset. `request_id` and `context`
may be absent. A heartbeat is {"event_type": "heartbeat"} with no key: it carries time and nothing else.
"""

from typing import NamedTuple

IMPRESSION, CLICK, ORDER = "impression", "click", "order"
EVENT_TYPES = (IMPRESSION, CLICK, ORDER)
HEARTBEAT = "heartbeat"

MAX_ID_LENGTH = 256
MAX_RECORD_BYTES = 65_536


class Column(NamedTuple):
    """One column of a contract table; `type` is an Arrow type as Arrow prints it."""

    name: str
    type: str
    nullable: bool
    about: str
    example: object


TIMESTAMP = "timestamp[us, tz=UTC]"

# Delta table `events`, partitioned by `ds`. `source` is "history" for what was loaded into the lake directly, else "kafka".
EVENT_COLUMNS = (
    Column("event_id", "string", False, "unique; a repeat counts once, the first ingested wins", "e-1"),
    Column("event_type", "string", False, "impression, click or order", "click"),
    Column("user_id", "string", False, "at most 256 characters", "u7"),
    Column("item_id", "string", False, "at most 256 characters", "i42"),
    Column("event_time", TIMESTAMP, False, "when it happened, by the producer's clock", "2026-01-01T00:00:00Z"),
    Column("request_id", "string", True, "ties a response to the impression of the same request", "r9"),
    Column("context", "string", True, "a JSON object of the producer's own fields", '{"surface": "home"}'),
    Column("ingest_time", TIMESTAMP, False, "largest append time up to its offset in its partition", "2026-01-01T00:00:01Z"),
    Column("source", "string", False, "kafka or history", "kafka"),
    Column("partition", "int32", False, "Kafka partition; -1 for history", 2),
    Column("offset", "int64", False, "Kafka offset; the row number for history", 1041),
    Column("ds", "string", False, "UTC day of ingest_time; the partition column", "2026-01-01"),
)


class Reason:
    """Why a record went to the dead letters. Every reason has a counter."""

    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    OVERSIZED = "oversized"
    TOO_OLD = "older_than_window"
    FUTURE = "future"
    KEY_MISMATCH = "key_is_not_item_id"


REASONS = tuple(value for name, value in vars(Reason).items() if name.isupper())
