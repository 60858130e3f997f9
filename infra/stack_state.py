"""What the local stack writes down: which processes it started, and which address each service was given.

<home>/run/processes.json and <home>/run/addresses.json; both are replaced atomically. A process is written down with its
token before it is started and with its pid after, so that a starter killed in between leaves nothing that cannot be found.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from features.artefacts import write_json
from features.errors import EnvironmentFault
from infra.ports import choose_port
from infra.processes import Process
from infra.settings import Addresses, Settings, address_from_environment


@dataclass(frozen=True)
class Record:
    """One started service; `address` is host:port or empty."""

    name: str
    process: Process
    command: list[str]
    log: str
    address: str


def read_records(run_dir: Path) -> dict[str, Record]:
    path = run_dir / "processes.json"
    if not path.is_file():
        return {}
    return {row["name"]: Record(**{**row, "process": Process(**row["process"])}) for row in json.loads(path.read_text())}


def write_records(run_dir: Path, records: dict[str, Record]) -> None:
    write_json(run_dir / "processes.json", [asdict(record) for record in records.values()])


def give_addresses(settings: Settings, running: set[str]) -> Addresses:
    """Choose and write down the address of everything.

    A running service (`running`: its fields of Addresses) keeps its address, another keeps the one it had or gets the one
    that the settings wish for, and where that port is taken a free one. Addresses set in the environment stay as they are.
    """
    taken: set[int] = set()
    given = asdict(settings.addresses)
    for name in sorted(given, key=lambda name: name not in running):
        host, port = given[name].rsplit(":", 1)
        if name not in running and address_from_environment(name) is None:
            given[name] = f"{host}:{choose_port(host, int(port), taken)}"
        taken.add(int(given[name].rsplit(":", 1)[1]))
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    write_json(settings.run_dir / "addresses.json", given)
    return Addresses(**given)


@contextmanager
def only_one(run_dir: Path) -> Iterator[None]:
    """Hold the stack while it is started or stopped. Raises EnvironmentFault: another command holds it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EnvironmentFault(
                f"another command is starting or stopping the stack of {run_dir.parent}: wait for it, then try again") from None
        yield
