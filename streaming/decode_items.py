"""Catalogue records to items, or the reason why one is none (features/catalogue.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalogue import MAX_TITLE_LENGTH, ItemContent
from features.events import MAX_RECORD_BYTES, Reason
from streaming.decode import Id, Refused, Rejected, TimeMs, parse_time, refusal


class WireItem(msgspec.Struct):
    item_id: Id
    published_at: TimeMs | str
    title: Annotated[str, msgspec.Meta(max_length=MAX_TITLE_LENGTH)] | None = None
    attributes: dict[str, str] | None = None
    vector: Annotated[list[float], msgspec.Meta(min_length=1)] | None = None


@dataclass(frozen=True)
class Item:
    """An item as it is from `ingest_ms` on; `position` is its record's place in the batch."""

    position: int
    item_id: str
    published_ms: int
    content: ItemContent
    ingest_ms: int


decoder = msgspec.json.Decoder(WireItem)
typeless = msgspec.json.Decoder()


def decode_items(
    keys: Sequence[bytes | None], values: Sequence[bytes | None], ingest_ms: NDArray[np.int64],
) -> tuple[list[Item], list[Rejected]]:
    """Items and refused records of a batch. A record without a value (a compacted topic's deletion) is neither."""
    items, rejected = [], []
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is None:
            continue
        try:
            items.append(decode_item(place, key, value, int(ingest_ms[place])))
        except Refused as fault:
            rejected.append(Rejected(place, fault.reason, fault.detail))
    return items, rejected


def decode_item(place: int, key: bytes | None, value: bytes, ingest_ms: int) -> Item:
    """Raises Refused."""
    if len(value) > MAX_RECORD_BYTES:
        raise Refused(Reason.OVERSIZED, f"{len(value)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        typeless.decode(value)
        wire = decoder.decode(value)
    except msgspec.ValidationError as fault:
        raise refusal(fault) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Refused(Reason.MALFORMED, str(fault)) from None
    if key != wire.item_id.encode():
        raise Refused(Reason.KEY_MISMATCH, f"key {key!r}, item_id {wire.item_id!r}: records are keyed by item_id")
    time = wire.published_at
    published_ms = time if isinstance(time, int) else parse_time(time)
    return Item(place, wire.item_id, published_ms, ItemContent(wire.title, wire.attributes or {}, wire.vector), ingest_ms)
