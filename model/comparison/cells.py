"""The pieces of work of a comparison, each of which can be killed and done again, and in which order they come.

    Fit     encoder, codebook and SIDs of a seed
    Tune    a main model of a preset at one point of the grid with the first tuning seed, over the tuning days
    Retune  the same at one of the points that did best, with another seed
    Train   a ranker of a preset with one seed, over all days: what the table is made of
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.comparison.models import Models, quantiser_of, tuned_as
from model.comparison.plan import Run
from model.comparison.tuning import FINALISTS, finalists
from model.config import GATESID

FIT = "sids"


class Cell(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> tuple[str, ...]:
        """Cells of one kind take about as long a step."""

    def steps(self, run: Run) -> int:
        """Of the whole cell: its days, or 1."""

    def reached(self, run: Run) -> int:
        """How many of them a killed cell does not do again, more or less."""

    def finished(self, run: Run) -> bool: ...

    def needs(self, run: Run) -> list["Cell"]:
        """What must be finished before."""

    def work(self, run: Run) -> None:
        """In a process of its own, which alone imports TensorFlow."""


@dataclass(frozen=True)
class Fit:
    seed: int
    quantiser: str

    @property
    def name(self) -> str:
        return f"{FIT}-{self.quantiser}-s{self.seed}"

    @property
    def kind(self) -> tuple[str, ...]:
        return (FIT, self.quantiser)

    def steps(self, run: Run) -> int:
        return 1

    def reached(self, run: Run) -> int:
        return int(self.finished(run))

    def finished(self, run: Run) -> bool:
        return run.fitted(self.seed, self.quantiser).is_file()

    def needs(self, run: Run) -> list[Cell]:
        """A seed's codebooks share an encoder and a table of SIDs, so one comes after the other."""
        return [] if self.quantiser == GATESID else [Fit(self.seed, GATESID)]

    def work(self, run: Run) -> None:
        from model.comparison.seed_sids import fit

        fit(run, self.seed, self.quantiser)


@dataclass(frozen=True)
class OfRanker:
    """What the cells of one ranker of a preset share."""

    preset: str
    ranker: str

    @property
    def kind(self) -> tuple[str, ...]:
        return (self.preset, self.ranker)


@dataclass(frozen=True)
class Tune(OfRanker):
    point: int
    seed: int

    @property
    def name(self) -> str:
        return f"tune-{self.preset}-{self.ranker}-{self.point}-s{self.seed}"

    def steps(self, run: Run) -> int:
        return run.plan.tune_days

    def reached(self, run: Run) -> int:
        folder = self.file(run).with_suffix("")
        return self.steps(run) if self.finished(run) else sum(1 for _ in folder.glob("predictions/*/[0-9]*.parquet"))

    def finished(self, run: Run) -> bool:
        return self.file(run).is_file()

    def file(self, run: Run) -> Path:
        return run.tuning(self.preset, self.ranker, self.point, self.seed)

    def needs(self, run: Run) -> list[Cell]:
        return sids_needed(run, self.ranker, self.seed)

    def work(self, run: Run) -> None:
        from model.comparison.work import tune

        tune(run, self.preset, self.ranker, self.point, self.seed)


@dataclass(frozen=True)
class Retune(OfRanker):
    """A Tune whose point is known when the first round is finished."""

    place: int  # of its point in the first round, from 0
    seed: int

    @property
    def name(self) -> str:
        return f"retune-{self.preset}-{self.ranker}-{self.place}-s{self.seed}"

    def steps(self, run: Run) -> int:
        return run.plan.tune_days

    def reached(self, run: Run) -> int:
        return self.cell(run).reached(run) if self.is_known(run) else 0

    def finished(self, run: Run) -> bool:
        return self.is_known(run) and self.cell(run).finished(run)

    def needs(self, run: Run) -> list[Cell]:
        return [*sids_needed(run, self.ranker, self.seed), *first_round(run, self.preset, self.ranker)]

    def work(self, run: Run) -> None:
        self.cell(run).work(run)

    def is_known(self, run: Run) -> bool:
        return all(cell.finished(run) for cell in first_round(run, self.preset, self.ranker))

    def cell(self, run: Run) -> Tune:
        return Tune(self.preset, self.ranker, finalists(run, self.preset, self.ranker)[self.place], self.seed)


@dataclass(frozen=True)
class Train(OfRanker):
    seed: int

    @property
    def name(self) -> str:
        return f"{self.preset}-{self.ranker}-s{self.seed}"

    def steps(self, run: Run) -> int:
        return len(run.plan.days())

    def reached(self, run: Run) -> int:
        """A finished cell counts as a whole: days without rows have no predictions."""
        folder = run.of(self.preset).predictions(self.ranker, self.seed)
        return self.steps(run) if self.finished(run) else sum(1 for _ in folder.glob("[0-9]*.parquet"))

    def finished(self, run: Run) -> bool:
        return run.of(self.preset).checkpoint(self.ranker, self.seed, run.plan.as_of).exists()

    def needs(self, run: Run) -> list[Cell]:
        return [*sids_needed(run, self.ranker, self.seed), *tuning(run, self.preset, tuned_as(self.ranker))]

    def work(self, run: Run) -> None:
        from model.comparison.work import train

        train(run, self.preset, self.ranker, self.seed)


def sids_needed(run: Run, ranker: str, seed: int) -> list[Cell]:
    quantiser = quantiser_of(ranker)
    return [Fit(seed, quantiser)] if quantiser and run.plan.codebook is None else []


def tuning(run: Run, preset: str, ranker: str) -> list[Cell]:
    first = first_round(run, preset, ranker)
    others = run.plan.tuning_seeds[1:]
    return [*first, *(Retune(preset, ranker, place, seed) for place in range(min(FINALISTS, len(first))) for seed in others)]


def first_round(run: Run, preset: str, ranker: str) -> list[Cell]:
    return [Tune(preset, ranker, n, run.plan.tuning_seeds[0]) for n in range(len(run.plan.rates))]


def in_order(run: Run, models: Models) -> list[Cell]:
    """Every cell once. Preset by preset, the main models first and seed by seed, so that a run cut short compares those
    on the seeds it has."""
    return list(dict.fromkeys(wanted(run, models)))


def wanted(run: Run, models: Models) -> Iterator[Cell]:
    for preset in models.presets:
        for group in (models.main(), models.ablations()):
            for seed in range(1, models.seeds + 1):
                for ranker in group:
                    if seed in models.seeds_of(ranker):
                        yield from with_needs(run, Train(preset, ranker, seed))


def with_needs(run: Run, cell: Cell) -> Iterator[Cell]:
    for needed in cell.needs(run):
        yield from with_needs(run, needed)
    yield cell
