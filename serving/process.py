"""What a serving process does besides serving: says what happens, and ends when told to."""

import signal
import threading

from features.clock import SystemClock


def log(line: str) -> None:
    print(f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ} {line}", flush=True)


def wait_for_signal() -> None:
    """Until SIGTERM or SIGINT."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])
