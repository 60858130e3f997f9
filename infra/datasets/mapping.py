"""Which of your columns is which: the TOML file of `prepare own --columns`, checked as a whole (README: an example)."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import ConfigError
from features.events import EVENT_TYPES

TIME_UNITS = ("iso", "s", "ms", "us")
EVENT_KEYS = {"event_id": str, "event_type": str, "user_id": str, "item_id": str, "event_time": str, "ingest_time": str,
              "request_id": str, "context": list, "time_unit": str, "every_row_is": str, "delimiter": str, "types": dict}
ITEM_KEYS = {"item_id": str, "title": (str, list), "attributes": (str, list), "published_at": str, "vector": str,
             "time_unit": str, "delimiter": str}


@dataclass(frozen=True)
class EventColumns:
    """Your column for each of ours. Those in `given` must exist; the rest may be absent."""

    event_id: str = "event_id"
    event_type: str = "event_type"
    user_id: str = "user_id"
    item_id: str = "item_id"
    event_time: str = "event_time"
    ingest_time: str = "ingest_time"
    request_id: str = "request_id"
    context: tuple[str, ...] = ()  # columns that become the fields of `context`
    time_unit: str | None = None  # of both times; None: whole numbers are ms, texts ISO 8601
    every_row_is: str | None = None  # the event type of all rows, for a file without a type column
    delimiter: str = ","
    types: dict[str, str] = field(default_factory=dict)  # your word -> impression, click or order
    given: frozenset[str] = frozenset()

    def required(self) -> dict[str, str]:
        """Our name -> your column, of those that must be there."""
        always = {"user_id", "item_id", "event_time"} | (set() if self.every_row_is else {"event_type"})
        optional = {"event_id", "ingest_time", "request_id"} & self.given
        return {name: getattr(self, name) for name in sorted(always | optional)} | {f"context.{c}": c for c in self.context}


@dataclass(frozen=True)
class ItemColumns:
    item_id: str = "item_id"
    title: tuple[str, ...] = ("title",)  # several are joined with " | "
    attributes: tuple[str, ...] | str = "attributes"  # columns, or one column of JSON objects
    published_at: str = "published_at"
    vector: str = "vector"
    time_unit: str | None = None
    delimiter: str = ","
    given: frozenset[str] = frozenset()

    def required(self) -> dict[str, str]:
        named = {"item_id": self.item_id}
        named |= {name: getattr(self, name) for name in ("published_at", "vector") if name in self.given}
        if "title" in self.given:
            named |= {f"title ({column})": column for column in self.title}
        if isinstance(self.attributes, tuple):
            return named | {f"attributes.{column}": column for column in self.attributes}
        return named | ({"attributes": self.attributes} if "attributes" in self.given else {})


@dataclass(frozen=True)
class Mapping:
    events: EventColumns = field(default_factory=EventColumns)
    items: ItemColumns = field(default_factory=ItemColumns)


def read_mapping(file: Path | None) -> Mapping:
    """None: your columns have the contract's names. Raises ConfigError, which lists every fault."""
    if file is None:
        return Mapping()
    try:
        values = tomllib.loads(file.read_text())
    except (OSError, ValueError) as fault:
        raise ConfigError(f"cannot read the column mapping {file}: {fault}") from None
    faults = [f"unknown section [{name}] (expected [events], [items])" for name in values if name not in ("events", "items")]
    events, items = values.get("events", {}), values.get("items", {})
    check_keys("events", events, EVENT_KEYS, faults)
    check_keys("items", items, ITEM_KEYS, faults)
    if not faults:
        check_values(events, items, faults)
    if faults:
        raise ConfigError(f"{file}: " + "; ".join(faults))
    return Mapping(
        EventColumns(**{**events, "context": tuple(events.get("context", ()))}, given=frozenset(events)),
        ItemColumns(**{**items, "title": as_columns(items.get("title", "title")), "attributes": as_attributes(items)},
                    given=frozenset(items)))


def check_keys(section: str, given: dict[str, Any], known: dict[str, Any], faults: list[str]) -> None:
    for key, value in given.items():
        if key not in known:
            faults.append(f"[{section}] {key} is unknown (known: {', '.join(known)})")
        elif not isinstance(value, known[key]) or (isinstance(value, list) and not all(isinstance(one, str) for one in value)):
            faults.append(f"[{section}] {key} has the wrong type: {value!r}")


def check_values(events: dict[str, Any], items: dict[str, Any], faults: list[str]) -> None:
    for section, given in (("events", events), ("items", items)):
        if given.get("time_unit", "iso") not in TIME_UNITS:
            faults.append(f"[{section}] time_unit must be one of {', '.join(TIME_UNITS)}, got {given['time_unit']!r}")
        if len(given.get("delimiter", ",")) != 1:
            faults.append(f"[{section}] delimiter must be one character, got {given['delimiter']!r}")
    ours = ", ".join(EVENT_TYPES)
    faults += [f"[events.types] {yours!r} is mapped to {kind!r}, expected one of {ours}"
               for yours, kind in events.get("types", {}).items() if kind not in EVENT_TYPES]
    if events.get("every_row_is", EVENT_TYPES[0]) not in EVENT_TYPES:
        faults.append(f"[events] every_row_is must be one of {ours}, got {events['every_row_is']!r}")


def as_columns(given: str | list[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def as_attributes(items: dict[str, Any]) -> tuple[str, ...] | str:
    given = items.get("attributes", "attributes")
    return given if isinstance(given, str) else tuple(given)
