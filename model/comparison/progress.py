"""How far a comparison is, read from its folder, and what remains.

A ranker's days take as long as they took before in this run, so that slow rankers weigh more than fast ones; of kinds that
have not run yet the mean of the others like them is expected, fits apart from rankers: a fit is one long step.
"""

import time
from collections import defaultdict
from statistics import mean

from model.comparison.cells import FIT, Cell
from model.comparison.plan import Run


class Progress:
    """cells 2/6 | steps 301/540 (55.7%) | practical-base-s2 12/90, sids-gatesid-s1 0/1 | eta 2.1m"""

    def __init__(self, run: Run, cells: list[Cell], processes: int):
        self.run, self.cells, self.processes = run, cells, processes
        self.running: dict[Cell, tuple[float, int]] = {}  # when it began, and how many steps were done before
        self.seconds: dict[tuple[str, ...], float] = defaultdict(float)  # spent by ended cells, by kind
        self.steps: dict[tuple[str, ...], int] = defaultdict(int)

    def begin(self, cell: Cell) -> None:
        self.running[cell] = time.monotonic(), cell.reached(self.run)

    def end(self, cell: Cell) -> None:
        began, before = self.running.pop(cell)
        self.seconds[cell.kind] += time.monotonic() - began
        self.steps[cell.kind] += cell.steps(self.run) - before

    def line(self) -> str:
        total = {cell: cell.steps(self.run) for cell in self.cells}
        reached = {cell: cell.reached(self.run) for cell in self.cells}
        finished = sum(cell.finished(self.run) for cell in self.cells)
        running = ", ".join(f"{cell.name} {reached[cell]}/{total[cell]}" for cell in self.running)
        left, all_steps, done = self.seconds_left(total, reached), sum(total.values()), sum(reached.values())
        return (f"cells {finished}/{len(self.cells)} | steps {done:,}/{all_steps:,} ({done / all_steps:.1%}) | "
                f"{running or '-'} | eta {'-' if left is None else f'{left / 60:.1f}m'}")

    def seconds_left(self, total: dict[Cell, int], reached: dict[Cell, int]) -> float | None:
        pace = self.pace(reached)
        if not pace:
            return None
        return sum((total[cell] - reached[cell]) * expected(pace, cell.kind) for cell in self.cells) / self.processes

    def pace(self, reached: dict[Cell, int]) -> dict[tuple[str, ...], float]:
        """Seconds a step by kind, of ended cells and of those that run, as far as they are."""
        seconds, steps, now = dict(self.seconds), dict(self.steps), time.monotonic()
        for cell, (began, before) in self.running.items():
            if reached[cell] > before:
                seconds[cell.kind] = seconds.get(cell.kind, 0.0) + now - began
                steps[cell.kind] = steps.get(cell.kind, 0) + reached[cell] - before
        return {kind: seconds[kind] / steps[kind] for kind in seconds if steps[kind]}


def expected(pace: dict[tuple[str, ...], float], kind: tuple[str, ...]) -> float:
    """Seconds a step of a kind: its own pace, else the mean of those that share its first name, else of all but fits."""
    if kind in pace:
        return pace[kind]
    alike = [seconds for known, seconds in pace.items() if known[0] == kind[0]]
    days = [seconds for known, seconds in pace.items() if known[0] != FIT]
    return mean(alike or days or pace.values())
