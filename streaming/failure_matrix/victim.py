"""A consumer that dies at a stated step: the real command (`streaming run`), with a switch at one of its calls.

    poll → decode → apply ─┬─ commit ─┬─ push frame ─ push frame ─┬─ lake append ─┬─ drop outbox ─┬─►
              before commit┘          └after commit  └in a push   └after push     └after append   └after drop
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from features.clock import SystemClock
from streaming.lake_tables import LakeTable

# What a consumer imports, for a server process to import once: prometheus_client before Feast, whose import makes its counters
# shared by the whole process.
IMPORTS = ["streaming.metrics", "feast", "features.retrieval", "streaming.__main__", "streaming.consumer", "streaming.raw_lake",
           "streaming.failure_matrix.victim"]
STEPS = {  # module, class, method, whether before the call
    "before commit": ("streaming.valkey_store", "ValkeyStateStore", "commit", True),
    "after commit": ("streaming.valkey_store", "ValkeyStateStore", "commit", False),
    "in a push": ("feast", "FeatureStore", "push", False),
    "after push": ("streaming.sinks", "FeastPushSink", "push", False),
    "after append": ("streaming.lake_tables", "LakeTable", "append", False),
    "after drop": ("streaming.valkey_store", "ValkeyStateStore", "drop_outbox", False),
}
IN_AN_APPEND, CLOCK_STEPS_BACK = "in an append", "clock steps back"
SMALL_FRAME = 20  # so that a push has several frames
STEP_BACK = timedelta(hours=1)


@dataclass(frozen=True)
class Switch:
    step: str
    number: int = 1  # the number-th time that the step is reached


def consume(role: str, instance: str, switch: Switch | None, output: Connection) -> None:
    """Run one consumer in this process; what it prints goes down the pipe."""
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    setattr(import_module("features.retrieval"), "FRAME_ROWS", SMALL_FRAME)  # noqa: B010
    if switch is not None:
        arm(switch)
    sys.exit(import_module("streaming.__main__").main(["run", "--role", role, "--instance", instance, "--metrics", "off"]))


def arm(switch: Switch) -> None:
    if switch.step == CLOCK_STEPS_BACK:
        let_clock_step_back(switch.number)
        return
    left = [switch.number]

    def reached() -> None:
        left[0] -= 1
        if not left[0]:
            die()

    if switch.step == IN_AN_APPEND:
        LakeTable.append = dying_append(LakeTable.append, left)  # type: ignore[method-assign]
    else:
        module, kind, name, before = STEPS[switch.step]
        owner = getattr(import_module(module), kind)
        setattr(owner, name, around(getattr(owner, name), reached, before))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def around(work: Callable[..., Any], reached: Callable[[], None], before: bool) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if before:
            reached()
        result = work(*arguments, **named)
        if not before:
            reached()
        return result
    return call


def dying_append(append: Callable[..., bool], left: list[int]) -> Callable[..., bool]:
    """The process dies as soon as the append has put a file there: before its commit, or just after it."""
    def call(table: LakeTable, *arguments: Any) -> bool:
        left[0] -= 1
        if not left[0]:
            known = set(files_of(table.path))
            threading.Thread(target=die_at_new_file, args=(table.path, known), daemon=True).start()
        return append(table, *arguments)
    return call


def files_of(path: Path) -> list[str]:
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def die_at_new_file(path: Path, known: set[str]) -> None:
    while known.issuperset(files_of(path)):
        pass
    die()


def let_clock_step_back(after_calls: int) -> None:
    now, calls = SystemClock.now, [0]

    def stepping(self: SystemClock) -> datetime:
        calls[0] += 1
        return now(self) - (STEP_BACK if calls[0] > after_calls else timedelta(0))
    SystemClock.now = stepping  # type: ignore[method-assign]
