"""What a commit leaves to be pushed: rows of maturity, and the users whose history changed."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from features.errors import StreamError
from streaming.maturity_state import NO_ROWS, Rows


@dataclass
class Entry:
    rows: Rows = field(default_factory=lambda: NO_ROWS)
    users: list[str] = field(default_factory=list)


class Stored(msgspec.Struct, array_like=True):
    item_id: list[str]
    tick_ms: bytes
    exposure_7d: bytes
    click_7d: bytes
    users: list[str]


encoder = msgspec.msgpack.Encoder()
decoder = msgspec.msgpack.Decoder(Stored)


def encode_entry(entry: Entry) -> bytes | None:
    """Bytes for the store; None if there is nothing to push."""
    rows = entry.rows
    if not len(rows) and not entry.users:
        return None
    return encoder.encode(Stored(rows.item_id, rows.tick_ms.astype("<i8").tobytes(), rows.exposure_7d.astype("<i8").tobytes(),
                                 rows.click_7d.astype("<i8").tobytes(), entry.users))


def decode_entry(value: bytes) -> Entry:
    """Raises StreamError: not what encode_entry wrote."""
    try:
        stored = decoder.decode(value)
    except msgspec.MsgspecError as fault:
        raise StreamError(f"an outbox entry cannot be read ({fault}): the state is damaged; seed it again") from None
    ticks, exposure, click = (np.frombuffer(part, "<i8") for part in (stored.tick_ms, stored.exposure_7d, stored.click_7d))
    return Entry(Rows(stored.item_id, ticks, exposure, click), stored.users)


def join_rows(parts: list[Rows]) -> Rows:
    if not parts:
        return NO_ROWS
    return Rows([item for part in parts for item in part.item_id], np.concatenate([part.tick_ms for part in parts]),
                np.concatenate([part.exposure_7d for part in parts]), np.concatenate([part.click_7d for part in parts]))


def newest_per_item(rows: Rows) -> Rows:
    """The last row of each item; `rows` ordered by tick."""
    last = {item: place for place, item in enumerate(rows.item_id)}
    where = np.fromiter(last.values(), np.int64, len(last))
    return Rows(list(last), rows.tick_ms[where], rows.exposure_7d[where], rows.click_7d[where])
