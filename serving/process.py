"""What a serving process does besides serving: says what happens, and ends when told to."""

import signal
import threading
from typing import Any

import msgspec

from features.clock import SystemClock


def log(line: str) -> None:
    print(f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ} {line}", flush=True)


def log_record(fields: dict[str, Any]) -> None:
    """One line of JSON, for machines."""
    print(msgspec.json.encode({"at": SystemClock().now(), **fields}).decode(), flush=True)


def wait_for_signal() -> None:
    """Until SIGTERM or SIGINT."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])
