"""Bytes to columns: a batch of records becomes arrays of events, and a reason for each record that is none.

A batch is decoded in one call; only if something in it is odd is it gone through record by record. What a record must be is
said in features/events.py (topic `events`) and decided here; whether its time is acceptable is decided by `admit`, from
the log alone: event time against the record's ingest time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress
from operator import attrgetter
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.clock import to_ms
from features.events import CLICK, EVENT_TYPES, HEARTBEAT, IMPRESSION, MAX_ID_LENGTH, MAX_RECORD_BYTES, ORDER, Reason
from features.windows import MAX_FUTURE_MS, enter_tick, leave_tick

Int64 = NDArray[np.int64]
KINDS = {name: number for number, name in enumerate(EVENT_TYPES)}
IMPRESSION_KIND, CLICK_KIND, ORDER_KIND = KINDS[IMPRESSION], KINDS[CLICK], KINDS[ORDER]
HEARTBEAT_VALUE = msgspec.json.encode({"event_type": HEARTBEAT})
MAX_TIME_MS = 253_402_300_799_999  # the end of the year 9999: the last moment a lake timestamp is printed well

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]


NO_CONTEXT = msgspec.Raw(b"null")


class WireEvent(msgspec.Struct, gc=False):
    """One event as it is on the wire; `event_time` is not yet resolved to milliseconds."""

    event_id: Id
    event_type: str
    user_id: Id
    item_id: Id
    event_time: TimeMs | str
    request_id: Id | None = None
    context: msgspec.Raw = NO_CONTEXT


class Rejected(NamedTuple):
    """A record that goes to the dead letters; `position` is its place in the batch."""

    position: int
    reason: str
    detail: str


@dataclass
class Events:
    """Columns of the events of one batch, in log order; `position` is a record's place in the batch."""

    position: Int64
    event_id: list[str]
    kind: NDArray[np.int8]
    user_id: list[str]
    item_id: list[str]
    event_ms: Int64
    ingest_ms: Int64
    request_id: list[str | None]
    context: list[str | None]

    def __len__(self) -> int:
        return len(self.event_id)

    def take(self, keep: NDArray[np.bool_]) -> "Events":
        """The events where `keep` is True."""
        if keep.all():
            return self
        kept = keep.tolist()
        return Events(
            self.position[keep], list(compress(self.event_id, kept)), self.kind[keep], list(compress(self.user_id, kept)),
            list(compress(self.item_id, kept)), self.event_ms[keep], self.ingest_ms[keep],
            list(compress(self.request_id, kept)), list(compress(self.context, kept)))


@dataclass
class Decoded:
    events: Events
    rejected: list[Rejected] = field(default_factory=list)
    heartbeats: int = 0


class Refused(Exception):
    """Why one record is no event."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


FIELDS = [attrgetter(name) for name in WireEvent.__struct_fields__]
decoder = msgspec.json.Decoder(WireEvent)
typeless = msgspec.json.Decoder()


def decode_events(keys: Sequence[bytes | None], values: Sequence[bytes | None], ingest_ms: Int64) -> Decoded:
    """A batch of records as event columns.

    Args:
      keys, values: [E] the records' bytes, in log order.
      ingest_ms: int64[E], as DESIGN §3 defines it (the running maximum of the append time).
    """
    places = [i for i, value in enumerate(values) if value != HEARTBEAT_VALUE]
    beats = len(values) - len(places)
    bodies = list(values) if not beats else [values[i] for i in places]
    events = decode_whole(bodies)
    if events is not None and (made := plain_columns(places, events, keys, ingest_ms)) is not None:
        return Decoded(made, [], beats)
    good: list[WireEvent] = []
    good_places: list[int] = []
    rejected: list[Rejected] = []
    for place, value in zip(places, bodies, strict=True):
        try:
            event = decode_one(value)
            if event is None:
                beats += 1
                continue
            good.append(checked(event, keys[place]))
            good_places.append(place)
        except Refused as fault:
            rejected.append(Rejected(place, fault.reason, fault.detail))
    made = plain_columns(good_places, good, keys, ingest_ms)
    assert made is not None  # each was checked
    return Decoded(made, rejected, beats)


def decode_whole(bodies: list[bytes | None]) -> list[WireEvent] | None:
    """All records in one call; None if any of them needs a closer look.

    Each record must be one line of its own (no newline inside), or a broken record could borrow from its neighbour.
    """
    if not bodies:
        return []
    try:
        lines = b"\n".join(bodies)  # type: ignore[arg-type]
        if lines.count(b"\n") != len(bodies) - 1 or max(map(len, bodies)) > MAX_RECORD_BYTES:  # type: ignore[arg-type]
            return None
        events = decoder.decode_lines(lines)
    except (TypeError, UnicodeDecodeError, msgspec.MsgspecError):
        return None
    return events if len(events) == len(bodies) else None


def decode_one(value: bytes | None) -> WireEvent | None:
    """One record; None for a heartbeat. Raises Refused; what is no JSON at all is told before what has another shape."""
    if value is None:
        raise Refused(Reason.MALFORMED, "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        raise Refused(Reason.OVERSIZED, f"{len(value)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        record = typeless.decode(value)
        if isinstance(record, dict) and record.get("event_type") == HEARTBEAT:
            return None
        return decoder.decode(value)
    except msgspec.ValidationError as fault:
        raise refusal(fault) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Refused(Reason.MALFORMED, str(fault)) from None


def refusal(fault: msgspec.ValidationError) -> Refused:
    """What a record of the wrong shape is refused for; a null where a value is needed is a missing value."""
    text = str(fault)
    missing = "missing required field" in text or re.search(r"got `null` - at `\$\.", text) is not None
    return Refused(Reason.MISSING_FIELD if missing else Reason.WRONG_TYPE, text)


def plain_columns(places: list[int], events: list[WireEvent], keys: Sequence[bytes | None], ingest_ms: Int64) -> Events | None:
    """Event columns; None if one of the events needs a closer look: at its type, its time, its context or its key."""
    count = len(events)
    position = np.array(places, np.int64)
    if not count:
        return Events(position, [], np.empty(0, np.int8), [], [], np.empty(0, np.int64), ingest_ms[position], [], [])
    ids, types, users, items, times, requests, contexts = (list(map(field_of, events)) for field_of in FIELDS)
    plain = (set(types) <= KINDS.keys() and set(map(type, times)) == {int}
             and list(map(str.encode, items)) == ([*keys] if count == len(keys) else [keys[place] for place in places]))
    if not plain:
        return None
    texts: list[str | None] = [None] * count
    if contexts.count(NO_CONTEXT) != count:
        try:
            texts = [None if raw is NO_CONTEXT else context_text(raw) for raw in contexts]
        except Refused:
            return None
    return Events(
        position, ids, np.fromiter(map(KINDS.__getitem__, types), np.int8, count), users, items, np.array(times, np.int64),
        ingest_ms[position], requests, texts)


def checked(event: WireEvent, key: bytes | None) -> WireEvent:
    """The event with its time in milliseconds. Raises Refused."""
    if event.event_type not in KINDS:
        raise Refused(Reason.UNKNOWN_EVENT_TYPE,
                      f"event_type {event.event_type[:40]!r}; expected {', '.join(EVENT_TYPES)}")
    if isinstance(event.event_time, str):
        event.event_time = parse_time(event.event_time)
    context_text(event.context)
    if key != event.item_id.encode():
        raise Refused(Reason.KEY_MISMATCH, f"key {key!r}, item_id {event.item_id!r}: records are keyed by item_id")
    return event


def parse_time(text: str) -> int:
    """Milliseconds of an ISO 8601 moment with an offset. Raises Refused."""
    try:
        ms = to_ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as fault:
        raise Refused(Reason.WRONG_TYPE, f"event_time {text[:40]!r} is no ISO 8601 moment with an offset: {fault}") from None
    if not 0 <= ms <= MAX_TIME_MS:
        raise Refused(Reason.WRONG_TYPE, f"event_time {text[:40]!r} lies before 1970")
    return ms


def context_text(raw: msgspec.Raw) -> str | None:
    """The producer's own fields as JSON text. Raises Refused: not an object."""
    value = bytes(raw)
    if value == b"null":
        return None
    if not value.startswith(b"{"):
        raise Refused(Reason.WRONG_TYPE, "context must be an object")
    return value.decode()


def admit(events: Events, interval_ms: int) -> tuple[Events, list[Rejected]]:
    """Refuse events too far ahead of their ingest time, and those that no tick would ever count."""
    future = events.event_ms > events.ingest_ms + MAX_FUTURE_MS
    too_old = ~future & (enter_tick(events.event_ms, events.ingest_ms, interval_ms) >= leave_tick(events.event_ms))
    refused = future | too_old
    if not refused.any():
        return events, []
    rejected = []
    for i in np.flatnonzero(refused).tolist():
        ahead_s = (int(events.event_ms[i]) - int(events.ingest_ms[i])) / 1000
        reason = Reason.FUTURE if future[i] else Reason.TOO_OLD
        rejected.append(Rejected(int(events.position[i]), reason, f"event_time lies {ahead_s:+.0f} s from its ingest time"))
    return events.take(~refused), rejected
