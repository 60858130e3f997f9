"""The catalogue's contract: an item as it is from now on, on the wire and in the lake.

On the wire (topic `catalog`, key item_id, compacted):

    {"item_id": "i42", "title": "Rolled oats 500 g", "published_at": 1767225600000,
     "attributes": {"department": "GROCERY", "brand": "National"}, "vector": [0.1, …]}

`attributes` (values are strings) and `vector` may be absent; an item without a title, attributes and vector has no
content: its SID is all -1 and it gets the cold default.
"""

from collections.abc import Sequence
from typing import NamedTuple

from features.events import TIMESTAMP, Column

MAX_TITLE_LENGTH = 4_096

# Delta table `items`, append-only. The current state of an item is its row with the largest (ingest_time, offset).
ITEM_COLUMNS = (
    Column("item_id", "string", False, "at most 256 characters", "i42"),
    Column("title", "string", True, "text for a person; null or empty if there is none", "Rolled oats 500 g"),
    Column("attributes", "string", True, "JSON object of strings, keys sorted", '{"brand": "National"}'),
    Column("published_at", TIMESTAMP, False, "when the item went online; online_days counts from here", "2026-01-01T00:00:00Z"),
    Column("vector", "list<element: float>", True, "the user's own content vector, one width for all", None),
    Column("ingest_time", TIMESTAMP, False, "when the record became known", "2026-01-01T00:00:01Z"),
    Column("source", "string", False, "kafka or history", "kafka"),
    Column("partition", "int32", False, "Kafka partition; -1 for history", 2),
    Column("offset", "int64", False, "Kafka offset; the row number for history", 17),
)


class ItemContent(NamedTuple):
    """What an item is, as the encoder takes it. An item with none of the three has no content."""

    title: str | None
    attributes: dict[str, str]
    vector: Sequence[float] | None = None

    def is_empty(self) -> bool:
        return not (self.title or self.attributes or self.vector is not None)
