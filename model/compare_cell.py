"""One cell of a comparison, a ranker with one seed: what model.train_ranker does, into the run's own folder."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

from features.layout import Layout
from model.compare_plan import Plan, has_sids
from model.config import preset
from model.train_ranker import Job, run

CHECKPOINT_EVERY = 10  # days; what a killed cell repeats at most


def job(plan: Plan, home: Layout, folder: Path, ranker: str, seed: int) -> Job:
    network, training = preset(ranker, plan.preset)
    training = replace(training, batch_size=plan.batch_size, labels=plan.labels)
    return Job(home, network, training, seed, date.fromisoformat(plan.start), date.fromisoformat(plan.as_of),
               plan.codebook if has_sids(ranker) else None, CHECKPOINT_EVERY, plan.versions, Layout(folder))


def run_cell(plan: Plan, home: Layout, folder: Path, ranker: str, seed: int) -> None:
    """Train and predict up to plan.as_of, from this cell's newest checkpoint; its lines go to logs/<ranker>-s<seed>.log."""
    (folder / "logs").mkdir(exist_ok=True)
    with (folder / "logs" / f"{ranker}-s{seed}.log").open("a") as log:
        last = run(job(plan, home, folder, ranker, seed), say=lambda line: print(line, file=log, flush=True))
    for earlier in last.parent.iterdir():
        if earlier != last:
            shutil.rmtree(earlier)
