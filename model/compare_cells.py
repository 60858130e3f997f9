"""All cells of a comparison, several at a time, each in a process with one TensorFlow thread.

One thread, because batches are small, and because a figure must not depend on how many cores a machine has.
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from features.errors import EnvironmentFault
from features.layout import Layout
from model.compare_plan import Plan

INTERVAL_S = 10.0
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
Cell = tuple[str, int]  # ranker, seed


def finished(plan: Plan, folder: Path, cell: Cell) -> bool:
    return Layout(folder).checkpoint(*cell, plan.as_of).exists()


def run_cells(plan: Plan, home: Layout, folder: Path, cells: list[Cell], processes: int, say: Callable[[str], None]) -> None:
    """Compute the cells that are not finished; the first fault of one ends the others and is raised here.

    Raises EnvironmentFault: a cell's process was killed; what its own work raises: see train_ranker.run.
    """
    left = [cell for cell in cells if not finished(plan, folder, cell)]
    if not left:
        return
    os.environ.update(ONE_THREAD)  # read by TensorFlow when a worker imports it
    (folder / "logs").mkdir(exist_ok=True)
    progress = Progress(plan, folder, cells)
    pool = ProcessPoolExecutor(
        min(processes, len(left)), multiprocessing.get_context("spawn"), initializer=begin_worker,
        initargs=(folder / "logs" / "workers.log", os.getpid()))
    try:
        waiting: set[Future[None]] = {pool.submit(work, plan, home, folder, *cell) for cell in left}
        while waiting:
            done, waiting = wait(waiting, INTERVAL_S, FIRST_EXCEPTION)
            for future in done:
                future.result()
            say(progress.line())
    except BrokenProcessPool:
        raise EnvironmentFault(f"the process of a cell was killed, of memory perhaps (see {folder / 'logs'}): give the "
                               "same command again, with --jobs 1; finished cells are kept") from None
    except BaseException:
        for process in pool._processes.values():  # the pool itself would wait for cells that run
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def work(plan: Plan, home: Layout, folder: Path, ranker: str, seed: int) -> None:
    """In the worker, which alone imports TensorFlow."""
    from model.compare_cell import run_cell

    run_cell(plan, home, folder, ranker, seed)


def begin_worker(log: Path, parent: int) -> None:
    """TensorFlow's chatter goes to a log. A worker ends when its parent does, also when that was killed: a second run would
    meet it in the same folder."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), sys.stderr.fileno())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Progress:
    """Reads from the run's folder how far each cell is: a file of predictions a day.

    cells 2/6 | days 301/540 (55.7%) | base-s2 2026-10-12, gatesid-s1 2026-10-02 | eta 2.1m
    """

    def __init__(self, plan: Plan, folder: Path, cells: list[Cell]):
        self.plan, self.folder, self.cells = plan, folder, cells
        self.began, self.at_start = time.monotonic(), sum(len(self.days(cell)) for cell in cells)

    def days(self, cell: Cell) -> list[str]:
        return sorted(path.stem for path in Layout(self.folder).predictions(*cell).glob("[0-9]*.parquet"))

    def line(self) -> str:
        done = {cell: finished(self.plan, self.folder, cell) for cell in self.cells}
        days = {cell: self.days(cell) for cell in self.cells}
        of_one = len(self.plan.days())
        # Days without rows have no predictions, so a finished cell counts as a whole.
        reached = sum(of_one if done[cell] else len(days[cell]) for cell in self.cells)
        total, new = of_one * len(self.cells), sum(map(len, days.values())) - self.at_start
        running = ", ".join(f"{ranker}-s{seed} {days[ranker, seed][-1]}" for ranker, seed in self.cells
                            if days[ranker, seed] and not done[ranker, seed])
        seconds = (time.monotonic() - self.began) / max(new, 1) * (total - reached)
        left = f"{seconds / 60:.1f}m" if new else "-"
        return (f"cells {sum(done.values())}/{len(self.cells)} | days {reached}/{total} ({reached / total:.1%}) | "
                f"{running or '-'} | eta {left}")
