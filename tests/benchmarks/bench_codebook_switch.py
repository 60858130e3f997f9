"""What a switch of codebook costs a ranker on the days after it.

    python tests/benchmarks/bench_codebook_switch.py --old 2026-06-27 --new 2026-08-27 \
        --switch 2026-10-13 2026-10-27 2026-11-10 --days 7 --seeds 2

Reads the lake of <home>; what it makes lies in <home>/runs/codebook_switch and goes when it ends. The old codebook knows the
days before --old. Two new ones know those before --new: warm, as `rqvae_retrain` makes them, and cold; both are matched to the
old one. GateSID learns day by day with the old codebook. At each --switch it goes on for --days, each scored before it is
learnt from:

    old             with the codebook it has
    moved           with a new one, each SID table moved to the new codes
    moved, learnt   the same, and the SID tables learn the last 60 days again (what `train_ranker --warm-start` does)
    fresh           with a new one and SID tables that know nothing

AUC and GAUC of CTR in points, of the first days after all switches and of all their days, and the differences to `old` with
their 95 % intervals over users and days.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from bench_retraining import NO_LIMITS, give_sids  # noqa: E402

import model  # noqa: F401, E402  (chooses the Keras version)
from features.clock import days_between  # noqa: E402
from features.layout import Layout  # noqa: E402
from features.names import (  # noqa: E402
    TABLE_ITEM_INDEX,
    TABLE_SEMANTIC_IDS,
    TABLE_TRAINING_FRAME,
    TABLE_USER_INDEX,
)
from infra.settings import load_settings  # noqa: E402
from model.config import GATESID, PRACTICAL, preset  # noqa: E402
from model.dataset import Day, PinnedTable, days_present, no_codes, read_codes, read_day, table_rows  # noqa: E402
from model.encoder_training import WARM, EncoderTraining  # noqa: E402
from model.evaluation import Rows, compare  # noqa: E402
from model.intervals import UserAndDayInterval  # noqa: E402
from model.rankers.trunk import TableSizes  # noqa: E402
from model.rqvae_config import RqVaeConfig  # noqa: E402
from model.train_encoder import make_encoder  # noqa: E402
from model.train_ranker import RELEARNT_DAYS, Job, begin, recorded_labels, run  # noqa: E402
from model.train_rqvae import make_codebook  # noqa: E402
from model.warm_start import warm_start  # noqa: E402

OLD, MOVED, LEARNT, FRESH = "old", "moved", "moved, learnt", "fresh"
METRICS = ("auc", "gauc")


class Codebooks(NamedTuple):
    """Codes by item row, int32[rows, N], of the old codebook and of the new ones by name."""

    version: str
    old: np.ndarray
    new: dict[str, np.ndarray]


def make_codebooks(home: Layout, own: Layout, old: date, new: date, until: date) -> Codebooks:
    made = make_codebook(home, old, make_encoder(home, old, None, EncoderTraining(), own), RqVaeConfig(), NO_LIMITS,
                         output=own)
    give_sids(home, own, made, until)
    index = PinnedTable.at(home.table(TABLE_ITEM_INDEX))
    found = Codebooks(made, read_codes(PinnedTable.at(own.table(TABLE_SEMANTIC_IDS)), index, made), {})
    for name, start in (("warm", made), ("cold", None)):
        training = replace(WARM if start else EncoderTraining(), seed=2)
        version = make_codebook(home, new, make_encoder(home, new, None, training, own, warm_start=start), RqVaeConfig(seed=2),
                                NO_LIMITS, output=own, matched_to=made, warm_start=start)
        give_sids(home, own, version, until)
        found.new[name] = read_codes(PinnedTable.at(own.table(TABLE_SEMANTIC_IDS)), index, version)
        for folder in (own.encoder(f"enc-{new}"), own.codebook(version)):  # the next one takes their names
            shutil.rmtree(folder)
    return found


def variants(codebooks: Codebooks) -> dict[str, tuple[str, np.ndarray]]:
    """Name → how the ranker goes on, and the codes it does so with."""
    return {OLD: (OLD, codebooks.old)} | {
        f"{name}: {how}": (how, codes) for name, codes in codebooks.new.items() for how in (MOVED, LEARNT, FRESH)}


def goes_on(job: Job, sizes: TableSizes, how: str, old: np.ndarray, codes: np.ndarray) -> Iterator[np.ndarray]:
    """The scores of each day from the job's newest checkpoint to its end."""
    begun, frame = begin(job, sizes, say=lambda line: None), PinnedTable.at(job.layout.table(TABLE_TRAINING_FRAME))
    learner = begun.learner
    if how != OLD:
        warm_start(learner.ranker, learner.optimiser, no_codes(len(old)) if how == FRESH else old, codes, job.seed)
    if how == LEARNT:
        for ds in days_between(begun.first - timedelta(days=RELEARNT_DAYS), begun.first):
            learner.relearn(read_day(frame, ds), codes, job.seed)
    for ds in days_between(begun.first, job.as_of):
        day = read_day(frame, ds)
        yield learner.predict(day, codes)["ctr"]
        learner.learn(day, codes, job.seed)


def rows_of(days: list[Day], scores: dict[str, dict[int, np.ndarray]]) -> Rows:
    number = np.concatenate([np.full(len(day), n) for n, day in enumerate(days)])
    users = np.concatenate([day.features["user_row"] for day in days]).astype(np.int64).ravel()
    dense = [np.unique(values, return_inverse=True)[1] for values in (users, number, users * len(days) + number)]
    return Rows(*dense, np.concatenate([day.clicked for day in days]) > 0, scores)


def table(title: str, found: dict[str, Any]) -> Iterator[str]:
    yield f"{title}: {found['rows']:,} rows, {found['positives']:,} positives, {found['users']:,} users"
    for name, figures in found["rankers"].items():
        line = "  ".join(f"{metric.upper()} {100 * figures[metric]['mean']:.2f}" for metric in METRICS)
        gap = found["difference"].get(name)
        yield f"  {name:<20} {line}" + (gap and "  | " + "  ".join(
            f"{100 * gap[metric]['mean']:+.2f} [{100 * gap[metric]['low']:+.2f}, {100 * gap[metric]['high']:+.2f}]"
            for metric in METRICS) or "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("old", "new"):
        parser.add_argument(f"--{name}", type=date.fromisoformat, required=True)
    parser.add_argument("--switch", type=date.fromisoformat, nargs="+", required=True)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    tf.config.experimental.enable_op_determinism()
    settings = load_settings()
    home, own = settings.layout, Layout(settings.home / "runs" / "codebook_switch")
    frame = PinnedTable.at(home.table(TABLE_TRAINING_FRAME))
    first = date.fromisoformat(days_present(frame)[0])
    sizes = TableSizes(*(table_rows(PinnedTable.at(home.table(name))) for name in (TABLE_ITEM_INDEX, TABLE_USER_INDEX)))
    network, training = preset(GATESID, PRACTICAL)
    training = replace(training, labels=recorded_labels(home, settings.data.dataset), batch_size=settings.training.batch_size)
    after = [days_between(day, day + timedelta(days=given.days)) for day in given.switch]
    try:
        codebooks = make_codebooks(home, own, given.old, given.new, max(given.switch) + timedelta(days=given.days))
        scores: dict[str, dict[int, list[np.ndarray]]] = {name: {} for name in variants(codebooks)}
        for seed in range(1, given.seeds + 1):
            for day in sorted(given.switch):
                job = Job(home, network, training, seed, first, day, codebooks.version, output=own, sids=own)
                run(job, say=lambda line: None)
                for name, (how, codes) in variants(codebooks).items():
                    ahead = replace(job, as_of=day + timedelta(days=given.days))
                    scores[name].setdefault(seed, []).extend(goes_on(ahead, sizes, how, codebooks.old, codes))
                print(f"seed {seed}, switch {day} done", flush=True)
        days = [[read_day(frame, ds) for ds in known] for known in after]
        every = [day for known in days for day in known]
        starts = range(0, len(every), given.days)

        def judged(chosen: list[int]) -> dict[str, Any]:
            picked = {name: {seed: np.concatenate([values[n] for n in chosen]) for seed, values in seeds.items()}
                      for name, seeds in scores.items()}
            return compare(rows_of([every[n] for n in chosen], picked), UserAndDayInterval())

        found = {f"first day after {len(after)} switches": judged(list(starts)),
                 f"first {given.days} days after each": judged(list(range(len(every))))}
        print(json.dumps(found))
        print("\n".join(line for title, one in found.items() for line in table(title, one)))
    finally:
        shutil.rmtree(own.home)


if __name__ == "__main__":
    main()
