"""What one batch changes in a partition's stored state: named byte segments that grow, are replaced, or go.

    items         one JSON string a line: the item ids, by row
    hour:<ms>     HOUR_ENTRY records of the events of that UTC hour (hour_counts.py)
    seen:<ms>     SEEN records of the ids last sighted in that UTC hour (seen_ids.py)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from features.errors import StreamError

ITEMS, HOUR, SEEN_IDS = "items", "hour", "seen"


def segment(kind: str, hour_ms: int) -> str:
    return f"{kind}:{hour_ms}"


def segment_hours(names: Mapping[str, bytes], kind: str) -> dict[int, bytes]:
    """{hour_ms: bytes} of the segments of one kind."""
    return {int(name.split(":", 1)[1]): value for name, value in names.items() if name.startswith(kind + ":")}


def encode_items(item_ids: list[str]) -> bytes:
    return msgspec.json.Encoder().encode_lines(item_ids)


def decode_items(value: bytes) -> list[str]:
    """Raises StreamError: not what encode_items wrote."""
    try:
        return msgspec.json.Decoder(str).decode_lines(value)
    except msgspec.MsgspecError as fault:
        raise StreamError(f"the stored item list cannot be read ({fault}): the state is damaged; seed it again") from None


@dataclass
class Changes:
    appends: dict[str, list[bytes]] = field(default_factory=dict)
    replaces: dict[str, bytes] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)

    def append(self, name: str, value: bytes) -> None:
        self.appends.setdefault(name, []).append(value)

    def replace(self, name: str, value: bytes) -> None:
        """The segment's whole new content; what was to be appended is part of it."""
        self.appends.pop(name, None)
        self.replaces[name] = value

    def delete(self, name: str) -> None:
        self.appends.pop(name, None)
        self.replaces.pop(name, None)
        self.deletes.add(name)

    def apply_to(self, segments: dict[str, bytes]) -> None:
        """What a store does with them, on a plain dictionary."""
        for name in self.deletes:
            segments.pop(name, None)
        segments.update(self.replaces)
        for name, values in self.appends.items():
            segments[name] = segments.get(name, b"") + b"".join(values)
