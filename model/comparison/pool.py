"""The cells of a comparison, several at a time, each in a process with one TensorFlow thread.

One thread, because batches are small, and because a figure must not depend on how many cores a machine has.
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from pathlib import Path

from features.errors import EnvironmentFault
from model.comparison.cells import Cell
from model.comparison.plan import Run
from model.comparison.progress import Progress

INTERVAL_S = 10.0
CELLS_A_PROCESS = 16  # TensorFlow keeps about 80 MB of every cell; a new process takes 10 s
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def run_cells(run: Run, cells: list[Cell], processes: int, say: Callable[[str], None]) -> None:
    """Compute the cells that are not finished, each after what it needs; the first fault of one ends the others and is
    raised here.

    Raises EnvironmentFault: a cell's process was killed; what its own work raises: see train_ranker.run, seed_sids.fit.
    """
    waiting = [cell for cell in cells if not cell.finished(run)]
    if not waiting:
        return
    os.environ.update(ONE_THREAD)  # read by TensorFlow when a worker imports it
    logs = run.folder / "logs"
    logs.mkdir(exist_ok=True)
    progress = Progress(run, cells, processes)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=begin_worker,
                               initargs=(logs / "workers.log", os.getpid()), max_tasks_per_child=CELLS_A_PROCESS)
    running: dict[Future[None], Cell] = {}
    try:
        while waiting or running:
            while len(running) < processes and (cell := first_ready(run, waiting)):
                waiting.remove(cell)
                running[pool.submit(work, run, cell)] = cell
                progress.begin(cell)
            done, _ = wait(running, INTERVAL_S, FIRST_COMPLETED)
            for future in done:
                cell = running.pop(future)
                future.result()
                progress.end(cell)
            say(progress.line())
    except BrokenProcessPool:
        raise EnvironmentFault(f"the process of a cell was killed, of memory perhaps (see {logs}): give the "
                               "same command again, with --jobs 1; finished cells are kept") from None
    except BaseException:
        for process in pool._processes.values():  # the pool itself would wait for cells that run
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def first_ready(run: Run, waiting: list[Cell]) -> Cell | None:
    return next((cell for cell in waiting if all(needed.finished(run) for needed in cell.needs(run))), None)


def work(run: Run, cell: Cell) -> None:
    """What the cell prints goes to logs/<cell>.log."""
    with (run.folder / "logs" / f"{cell.name}.log").open("a") as log, redirect_stdout(log):
        cell.work(run)


def begin_worker(log: Path, parent: int) -> None:
    """TensorFlow's chatter goes to a log. A worker ends when its parent does, also when that was killed: a second run would
    meet it in the same folder."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), sys.stderr.fileno())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
