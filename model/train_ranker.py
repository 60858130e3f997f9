"""Train a ranker day by day: score a day with the model of the days before, then learn from it in one pass.

    python -m model.train_ranker --ranker gatesid --from 2026-08-24 --as-of 2026-11-22 --codebook cb-20261122

Starts from the newest checkpoint in [--from, --as-of), or fresh where there is none; so the nightly run is the same command
with one day, and a killed run goes on from its last checkpoint to the same weights. A run that is already done does nothing.

A checkpoint of another codebook is refused. With --warm-start the run goes on from it: SID tables start from what it had
learnt of the old codes (model/warm_start.py) and, they alone, learn its last days again. Log and manifest say so.

With --candidate it leaves the rankers in use alone: it goes on from their checkpoint with a codebook that is not live yet, and
writes to candidates/<codebook>. From there the nightly run goes on once that codebook is live (serving/switch.py).
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.artefacts import read_manifest
from features.clock import days_between, parse_as_of
from features.errors import ArtefactError, ConfigError, exit_code
from features.layout import Layout
from features.live_codebook import live_codebook
from features.names import (
    CLICKED,
    ORDERED,
    TABLE_ITEM_INDEX,
    TABLE_ITEM_VECTORS,
    TABLE_SEMANTIC_IDS,
    TABLE_TRAINING_FRAME,
    TABLE_USER_INDEX,
)
from features.spec import NUM_LEVELS
from infra.settings import load_settings
from model import checkpoints
from model.code_version import source_hash
from model.config import ALL_RANKERS, BASE, PRACTICAL, PRESETS, preset
from model.content_vectors import content_tables, encoder_of, give_content
from model.data_parallel import Workers
from model.dataset import PinnedTable, days_present, no_codes, read_codes, read_day, table_rows
from model.day_report import day_report, progress_line
from model.job import Job
from model.learner import Learner
from model.opq_codes import has_opq, reads_opq, take_opq_codebooks, with_opq_codes
from model.predictions import write_day
from model.rankers.assemblies import refuse_missing_codes
from model.rankers.trunk import TableSizes
from model.warm_start import warm_start

RELEARNT_DAYS = 60  # model/README.md: with fewer, the days after a change of codebooks lose AUC


@dataclass
class Begun:
    """What a run goes on from."""

    learner: Learner
    first: date  # the first day it has not seen
    progress: list[dict[str, Any]]  # the days it has
    manifest: dict[str, Any]  # of the checkpoint; empty where there is none


def run(job: Job, say=print, workers: Workers | None = None) -> Path:
    """Train up to job.as_of and return its checkpoint; with `workers`, as one of them (the first writes what is made).

    Raises ArtefactError: tables or SIDs are absent, a checkpoint does not fit; DataError: a day that cannot be learnt from;
    ConfigError: the ranker needs codes that the codebook does not have.
    """
    target = job.checkpoint(job.as_of)
    if target.exists():
        refuse_other_run(job, checkpoints.check(target, job.codebook), target)
        return target
    needed = (TABLE_TRAINING_FRAME, TABLE_ITEM_INDEX, TABLE_USER_INDEX)
    table = {name: job.table(name) for name in needed}
    sizes = TableSizes(items=table_rows(table[TABLE_ITEM_INDEX]), users=table_rows(table[TABLE_USER_INDEX]))
    codes = codes_by_row(job, table, job.codebook)
    begun = begin(job, sizes, say)
    learner, progress = begun.learner, begun.progress
    keeps = workers is None or workers.first
    warm_started_from = begun.manifest.get("warm_started_from")
    other_codebook = bool(begun.manifest) and begun.manifest["codebook_version"] != job.codebook
    if other_codebook:
        old_codes = codes_by_row(job, table, begun.manifest["codebook_version"])
        warm_started_from = change_codebook(job, learner, begun.manifest, old_codes, codes, say)
    if codes.shape[1] > NUM_LEVELS:
        take_opq_codebooks(learner.ranker, job.codebooks, job.codebook)
    if content_tables(learner.ranker):
        table[TABLE_ITEM_VECTORS] = job.table(TABLE_ITEM_VECTORS)
        added = give_content(
            learner.ranker, job.codebooks, job.codebook, table[TABLE_ITEM_VECTORS], table[TABLE_ITEM_INDEX])
        say(f"content vectors of {added:,} more items")
    reads = {name: pinned.version for name, pinned in table.items()}
    days = days_between(begun.first, job.as_of)
    present = set(days_present(table[TABLE_TRAINING_FRAME]))
    if not present.intersection(days):
        raise ArtefactError(
            f"training_frame has no rows from {begun.first} to before {job.as_of}: run spark_jobs.training_frame")
    if other_codebook:
        relearn(job, learner, table[TABLE_TRAINING_FRAME], sorted(present), begun.first, codes, say)
    if workers:
        workers.join(learner, reads)
    started, rows_done = time.monotonic(), 0
    for number, ds in enumerate(days, start=1):
        if ds not in present:
            say(f"{ds} {number:03d}/{len(days):03d} | no rows")
            continue
        day = read_day(table[TABLE_TRAINING_FRAME], ds)
        scores = learner.predict(day, codes)
        if keeps:
            write_day(job.predictions, day, scores, job.training.labels)
        loss = learner.learn(day, codes, job.seed)
        rows_done += len(day)
        progress.append(day_report(day, scores, loss))
        say(progress_line(progress[-1], number, len(days), rows_done, time.monotonic() - started))
        reached = date.fromisoformat(ds) + timedelta(days=1)
        if keeps and job.checkpoint_every and reached < job.as_of and number % job.checkpoint_every == 0:
            save(job, learner, reached, reads, progress, warm_started_from)
    if keeps:
        save(job, learner, job.as_of, reads, progress, warm_started_from)
    return target


def codes_by_row(job: Job, table: dict[str, PinnedTable], codebook: str | None) -> NDArray[np.int32]:
    """The codes that the job's ranker reads, of a codebook; pins in `table` what they were read from. Raises as `run`."""
    codes = no_codes(table_rows(table[TABLE_ITEM_INDEX]))
    if codebook is not None:
        table[TABLE_SEMANTIC_IDS] = job.table(TABLE_SEMANTIC_IDS)
        codes = read_codes(table[TABLE_SEMANTIC_IDS], table[TABLE_ITEM_INDEX], codebook)
    if reads_opq(job.network.ranker) and has_opq(job.codebooks, codebook):
        table[TABLE_ITEM_VECTORS] = job.table(TABLE_ITEM_VECTORS)
        codes = with_opq_codes(codes, job.codebooks, codebook, table[TABLE_ITEM_VECTORS], table[TABLE_ITEM_INDEX])
    refuse_missing_codes(job.network.ranker, codes.shape[1], codebook)
    return codes


def begin(job: Job, sizes: TableSizes, say) -> Begun:
    """The newest checkpoint that the job may go on from, or a fresh ranker."""
    folder = job.newest_checkpoint()
    if folder is None and job.is_candidate:
        raise ArtefactError(f"a candidate goes on from a checkpoint of {job.network.ranker} s{job.seed} from {job.start} to "
                            f"before {job.as_of}, there is none: train with the live codebook first, or give an earlier --from")
    say(f"{job.network.ranker} s{job.seed} {'fresh' if folder is None else f'from {folder}'} | {sizes.items:,} item rows | "
        f"{sizes.users:,} user rows | codebook {job.codebook} | {job.training}")
    if folder is None:
        ranker = checkpoints.fresh_ranker(job.network, sizes, job.seed)
        return Begun(Learner(ranker, ranker.optimiser(job.training), job.training), job.start, [], {})
    restored = checkpoints.restore(folder, sizes, job.codebook if job.warm_start_days is None else None)
    refuse_other_run(job, restored.manifest, folder)
    optimiser = restored.ranker.optimiser(job.training)
    checkpoints.restore_slots(folder, restored.ranker, optimiser)
    progress = json.loads((folder / checkpoints.PROGRESS).read_text())
    first = date.fromisoformat(folder.name)
    # Steps go on compiled, or not, as the run began: the two round otherwise.
    training = replace(job.training, compiled=restored.manifest["training"].get("compiled", False))
    learner = Learner(restored.ranker, optimiser, training, learnt=str(first - timedelta(days=1)))
    return Begun(learner, first, progress, restored.manifest)


def change_codebook(job: Job, learner: Learner, manifest: dict[str, Any], old_codes: NDArray[np.int32],
                    codes: NDArray[np.int32], say) -> dict[str, Any]:
    """Make a ranker of the manifest's codebook one of the job's; what its own manifest will say of it."""
    old = manifest["codebook_version"]
    tables = warm_start(learner.ranker, learner.optimiser, old_codes, codes, job.seed)
    if content_tables(learner.ranker) and encoder_of(job.codebooks, old) != encoder_of(job.codebooks, job.codebook):
        for table in content_tables(learner.ranker):
            table.clear()
        say(f"content vectors of codebook {old}'s encoder are replaced")
    say(f"warm start from codebook {old} | codes that start from old ones " +
        " ".join(f"{found['warm']}/{found['used']}" for found in tables.values()))
    return {"codebook_version": old, "as_of": manifest["as_of"], "relearnt_days": job.warm_start_days, "tables": tables}


def relearn(job: Job, learner: Learner, frame: PinnedTable, present: list[str], first: date, codes: NDArray[np.int32],
            say) -> None:
    """Pass the SID tables, to which the codes are new, once more over the last days before `first`."""
    if not learner.ranker.sid_tables():
        return
    known = [ds for ds in present if str(first - timedelta(days=job.warm_start_days)) <= ds < str(first)]
    for number, ds in enumerate(known, start=1):
        loss = learner.relearn(read_day(frame, ds), codes, job.seed)
        say(f"{ds} {number:03d}/{len(known):03d} | SID tables again | loss {loss:.4f}")


def refuse_other_run(job: Job, manifest: dict[str, Any], folder: Path) -> None:
    """Raises ArtefactError: the checkpoint is of other settings, so that going on from it would mix two runs."""
    asked = {"ranker": job.network.to_json(), "training": job.training.to_json()}
    manifest = manifest | {"training": manifest["training"] | {"compiled": job.training.compiled}}  # see begin
    asked |= {"codebook_version": job.codebook} if job.warm_start_days is None else {}
    if differing := [name for name, value in asked.items() if manifest[name] != value]:
        raise ArtefactError(f"{folder} was made with other settings of {', '.join(differing)}: "
                            "use those, another --seed, or delete that seed's checkpoints")


def save(job: Job, learner: Learner, as_of: date, reads: dict[str, int], progress: list[dict[str, Any]],
         warm_started_from: dict[str, Any] | None) -> None:
    checkpoints.save(
        job.checkpoint(as_of), learner.ranker, learner.optimiser, codebook=job.codebook, progress=progress,
        as_of=str(as_of), seed=job.seed, code=source_hash(), training=learner.training.to_json(), reads=reads,
        rows=sum(day["rows"] for day in progress), warm_started_from=warm_started_from)


def recorded_labels(layout: Layout, dataset: str) -> tuple[str, ...]:
    """What the data set records; both labels where events came from elsewhere (no prepared folder)."""
    folder = layout.dataset(dataset)
    return tuple(read_manifest(folder)["labels"]) if folder.exists() else (CLICKED, ORDERED)


def parse(argv: list[str] | None) -> Job:
    parser = argparse.ArgumentParser(
        prog="python -m model.train_ranker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranker", choices=ALL_RANKERS, required=True)
    parser.add_argument("--from", dest="start", help="first day (default: the day before --as-of)")
    parser.add_argument("--as-of", required=True, help="every day before this one; the checkpoint's name")
    parser.add_argument("--seed", type=int, help="of weights and order (default: settings)")
    parser.add_argument("--codebook", help="codebook version (default: the live one; base needs none)")
    parser.add_argument("--preset", choices=PRESETS, default=PRACTICAL)
    parser.add_argument("--batch-size", type=int, help="rows a step (default: settings; paper: 4096)")
    parser.add_argument(
        "--warm-start", type=int, nargs="?", const=RELEARNT_DAYS, metavar="DAYS", dest="warm_start_days",
        help="go on from a checkpoint of another codebook; SID tables learn its last DAYS days again (default: %(const)s)")
    parser.add_argument("--candidate", action="store_true", help="to candidates/<codebook>, beside the rankers in use")
    parser.add_argument("--checkpoint-every", type=int, default=0, metavar="DAYS", help="also save every so many days")
    given = parser.parse_args(argv)
    settings = load_settings()
    as_of = parse_as_of(given.as_of)
    start = parse_as_of(given.start) if given.start else as_of - timedelta(days=1)
    if start >= as_of:
        raise ConfigError(f"--from must be before --as-of, got {start} and {as_of}")
    if (given.warm_start_days or 0) < 0:
        raise ConfigError(f"--warm-start takes a number of days, 0 for none, got {given.warm_start_days}")
    network, training = preset(given.ranker, given.preset)
    batch_size = given.batch_size or (settings.training.batch_size if given.preset == PRACTICAL else training.batch_size)
    training = replace(training, labels=recorded_labels(settings.layout, settings.data.dataset), batch_size=batch_size)
    codebook = None if given.ranker == BASE else given.codebook or live_codebook(settings.layout)
    if given.candidate and (codebook is None or given.warm_start_days is None):
        raise ConfigError("--candidate is for a ranker that goes on with another codebook: give --codebook V and --warm-start")
    candidate = settings.layout.candidate(codebook) if codebook else None
    return Job(settings.layout, network, training, settings.training.seed if given.seed is None else given.seed, start, as_of,
               codebook, given.checkpoint_every, warm_start_days=given.warm_start_days,
               output=candidate if given.candidate else None, origins=(settings.layout, candidate) if candidate else ())


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: print(run(parse(argv), say=lambda line: print(line, flush=True))))


if __name__ == "__main__":
    sys.exit(main())
