"""What a comparison is: days, tables, SIDs and settings, pinned. Written once, kept when a run goes on.

    <home>/runs/compare/<name>/
      plan.json  results.json  rates.json  table.md  logs/
      <preset>/checkpoints/  <preset>/predictions/     of the reported cells, a folder for each ranker and seed
      tuning/<preset>/<ranker>-<n>-s<seed>.json        point n of the grid
      sids/s<seed>/                                    encoder, codebooks, SIDs and content vectors of a seed
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from features.artefacts import write_json
from features.clock import days_between
from features.errors import ArtefactError
from features.layout import Layout
from features.names import (
    TABLE_CO_CLICK_PAIRS,
    TABLE_ITEM_INDEX,
    TABLE_ITEM_VECTORS,
    TABLE_ITEMS,
    TABLE_SEMANTIC_IDS,
    TABLE_TRAINING_FRAME,
    TABLE_USER_INDEX,
)
from model.codebook_health import HealthLimits
from model.dataset import PinnedTable

TABLES = (TABLE_TRAINING_FRAME, TABLE_ITEM_INDEX, TABLE_USER_INDEX)


@dataclass(frozen=True)
class Plan:
    """Everything a cell's figures depend on, but for its ranker, preset and seed, of which more can be asked for later."""

    start: str
    as_of: str
    tune_days: int  # the first ones; rates are tuned on them, and none of them is reported
    rates: tuple[tuple[float, float], ...]  # the grid: (dense_rate, table_rate); empty: the preset's own
    tuning_seeds: tuple[int, ...]
    codebook: str | None  # one for all seeds; None: fitted again for each seed, as of …
    sids_as_of: str | None  # … this day
    batch_size: int  # of the preset `practical`
    labels: tuple[str, ...]
    versions: dict[str, int]  # of Delta tables

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Plan":
        return Plan(**values | {"labels": tuple(values["labels"]), "rates": tuple(map(tuple, values["rates"])),
                                "tuning_seeds": tuple(values["tuning_seeds"])})

    def days(self) -> list[str]:
        return days_between(date.fromisoformat(self.start), date.fromisoformat(self.as_of))

    def tuning_days(self) -> list[str]:
        return self.days()[:self.tune_days]


@dataclass(frozen=True)
class Run:
    """A comparison under way: what was settled, where it reads, where it writes."""

    plan: Plan
    home: Layout
    folder: Path
    limits: HealthLimits  # of the codebooks that it fits

    def of(self, preset: str) -> Layout:
        """Checkpoints and predictions of the reported cells."""
        return Layout(self.folder / preset)

    def tuning(self, preset: str, ranker: str, point: int, seed: int) -> Path:
        """A point's figures with a seed; what it makes on the way lies in a folder of the same name."""
        return self.folder / "tuning" / preset / f"{ranker}-{point}-s{seed}.json"

    def sids(self, seed: int) -> Layout:
        return Layout(self.folder / "sids" / f"s{seed}")

    def fitted(self, seed: int, quantiser: str) -> Path:
        """What the fitted codebook is called and how healthy it is, once its SIDs are written."""
        return self.sids(seed).home / f"{quantiser}.json"


def run_folder(home: Layout, name: str) -> Path:
    return home.home / "runs" / "compare" / name


def pinned_now(home: Layout, codebook: str | None) -> dict[str, int]:
    """The newest versions. Raises ArtefactError: a table is absent that every ranker reads, or the codebook's SIDs are."""
    needed = TABLES if codebook is None else (*TABLES, TABLE_SEMANTIC_IDS)
    # Vectors are read by few rankers; items and their pairs by what fits codebooks, which says what it lacks.
    perhaps = (TABLE_ITEMS, TABLE_CO_CLICK_PAIRS) if codebook is None else (TABLE_ITEM_VECTORS,)
    names = [*needed, *(name for name in perhaps if home.table(name).exists())]
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
    values = json.loads(file.read_text())
    if set(values) != set(asdict(asked)):
        raise ArtefactError(f"{file} was written by another version of this code, with {', '.join(sorted(values))}: "
                            "use another --name")
    known = Plan.from_json(values)
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
