"""Processes that outlive their starter, and are found again to be stopped: exactly those, with all their descendants.

Every started process carries a token of its own in its environment, which its children inherit. So a reused pid is
never taken for ours, children that outlive their parent or left its process group are found, and a record written
before the start is enough to clean up after a starter that was killed. (Linux: reads /proc.)
"""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.errors import EnvironmentFault

TOKEN = "GATESID_PROCESS_TOKEN"
PROC = Path("/proc")
POLL_S = 0.05
# A process may rename itself over the memory that /proc/<pid>/environ shows; this asks setproctitle not to.
KEEP_ENVIRONMENT = {"SPT_NOENV": "1"}


@dataclass(frozen=True)
class Process:
    """What is needed to find a started process again. `pid` 0: the starter died before it could write it down."""

    token: str
    pid: int
    started: int  # kernel ticks since boot, from /proc/<pid>/stat; 0 with pid 0


def new_token() -> str:
    return uuid.uuid4().hex


def start_process(
    command: list[str], log: Path, *, token: str | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None,
) -> Process:
    """Start a command as the leader of a session of its own, its output appended to `log`.

    Args:
      env: added to this process's environment.
    Raises EnvironmentFault: the program cannot be executed.
    """
    token = token or new_token()
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as out:
            popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd,
                env={**os.environ, **(env or {}), **KEEP_ENVIRONMENT, TOKEN: token})
    except OSError as fault:
        raise EnvironmentFault(f"cannot start {command[0]}: {fault}") from fault
    process = Process(token, popen.pid, started_ticks(popen.pid) or 0)
    # For a moment after exec a process shows no environment; from here on its token finds it, if it still lives.
    while process.started and started_ticks(popen.pid) is not None and not read_environment(PROC / str(popen.pid)):
        time.sleep(0.001)
    return process


def is_running(process: Process) -> bool:
    """Whether the started process itself (not only a child of it) is alive and not a zombie."""
    if process.pid:
        reap(process.pid)
        return process.started > 0 and started_ticks(process.pid) == process.started
    return bool(members(process))


def members(process: Process) -> list[int]:
    """Pids of the process and everything that descends from it, alive now."""
    mark = f"{TOKEN}={process.token}".encode()
    if process.pid:
        reap(process.pid)
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        ours = process.started > 0 and pid == process.pid and started_ticks(pid) == process.started
        if (ours or mark in read_environment(entry)) and started_ticks(pid) is not None:
            found.append(pid)
    return found


def stop_process(process: Process, grace_s: float = 10.0) -> None:
    """End a process and all its descendants; returns when none is left.

    SIGTERM to the process itself, so that it can end its children in its own order; when it is gone, or after `grace_s`,
    SIGTERM to whoever is left, and at last SIGKILL. Raises EnvironmentFault: something survives even that.
    """
    if process.pid and is_running(process):
        send(signal.SIGTERM, [process.pid])
        wait_while(lambda: is_running(process), grace_s)
    send(signal.SIGTERM, members(process))
    if wait_while(lambda: members(process), grace_s / 2):
        return
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:  # again and again: some may be born while others die
        send(signal.SIGKILL, members(process))
        if wait_while(lambda: members(process), POLL_S):
            return
    raise EnvironmentFault(f"processes {members(process)} did not end after SIGKILL: look at them with ps")


def wait_while(condition: Callable[[], object], within_s: float) -> bool:
    """Whether the condition ceased to hold in time."""
    deadline = time.monotonic() + within_s
    while condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def send(sent: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            continue  # it ended by itself


def started_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot; None if it is gone, or a zombie without a living thread."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = text[text.rindex(")") + 2:].split()
    threads, started = int(fields[16]), int(fields[18])
    return None if state in "ZX" and threads <= 1 else started


def read_environment(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""  # gone, or another user's


def reap(pid: int) -> None:
    """Take the exit status of a child that ended, so that it does not stay a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # started by another process than this one


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file, indented, for an error message."""
    if not log.is_file():
        return "  (no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


@contextmanager
def running_process(command: list[str], log: Path, *, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A process for the length of a block."""
    process = start_process(command, log, env=env)
    try:
        yield process
    finally:
        stop_process(process)


def wait_until(ready: Callable[[], bool], process: Process, name: str, log: Path, within_s: float) -> None:
    """Wait until `ready()`. Raises EnvironmentFault with the end of the log: it ended, or the time is over."""
    deadline = time.monotonic() + within_s
    while not ready():
        if not is_running(process):
            raise EnvironmentFault(f"{name} ended before it was ready; the end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise EnvironmentFault(f"{name} was not ready within {within_s:.0f} s; the end of {log}:\n{tail(log)}")
        time.sleep(POLL_S)
