"""What a comparison is: days, tables and codebook at pinned versions, settings. Written once, kept when a run goes on.

    <home>/runs/compare/<name>/plan.json  checkpoints/  predictions/  logs/  results.json  table.md
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from features.artefacts import write_json
from features.clock import days_between
from features.errors import ArtefactError
from features.layout import Layout
from features.names import TABLE_ITEM_INDEX, TABLE_ITEM_VECTORS, TABLE_SEMANTIC_IDS, TABLE_TRAINING_FRAME, TABLE_USER_INDEX
from model.config import BASE
from model.dataset import PinnedTable

TABLES = (TABLE_TRAINING_FRAME, TABLE_ITEM_INDEX, TABLE_USER_INDEX)


@dataclass(frozen=True)
class Plan:
    """Everything a cell's figures depend on, but for its ranker and seed, of which more can be asked for later."""

    start: str
    as_of: str
    codebook: str | None  # None: no ranker asked for so far has SIDs
    preset: str
    batch_size: int
    labels: tuple[str, ...]
    versions: dict[str, int]  # of Delta tables

    def days(self) -> list[str]:
        return days_between(date.fromisoformat(self.start), date.fromisoformat(self.as_of))


def has_sids(ranker: str) -> bool:
    return ranker != BASE


def run_folder(home: Layout, name: str) -> Path:
    return home.home / "runs" / "compare" / name


def pinned_now(home: Layout, codebook: str | None) -> dict[str, int]:
    """The newest versions. Raises ArtefactError: a table is absent; vectors may be, which few rankers read."""
    names = TABLES if codebook is None else (*TABLES, TABLE_SEMANTIC_IDS)
    if codebook is not None and home.table(TABLE_ITEM_VECTORS).exists():
        names = (*names, TABLE_ITEM_VECTORS)
    return {name: PinnedTable.at(home.table(name)).version for name in names}


def settle(folder: Path, asked: Plan) -> Plan:
    """The plan of a folder: as asked where it is new, else the one it was begun with, table versions included.

    Raises ArtefactError: it was begun with other settings, each named.
    """
    file = folder / "plan.json"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, asdict(asked))
        return asked
    known = Plan(**{name: tuple(value) if name == "labels" else value for name, value in json.loads(file.read_text()).items()})
    there, here = asdict(known), asdict(asked)
    other = [f"{name}: there {there[name]!r}, asked {here[name]!r}" for name in there
             if name != "versions" and there[name] != here[name]]
    if other:
        raise ArtefactError(f"{folder} was begun with other settings ({'; '.join(other)}): use those, or another --name")
    return known


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go of it when the process ends, however it ends.

    Raises ArtefactError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtefactError(f"another `gatesid compare` works in {folder}: wait for it, or use another --name") from None
        yield
