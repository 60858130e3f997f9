"""Rankers x seeds under one protocol, and who wins where: day d is scored by the model of day d-1, then learnt in one pass.

    python -m model.compare --seeds 3                  Base against GateSID over the days of the training frame
    python -m model.compare --rankers all --presets practical,paper --seeds 5 --tune-days 30
    python -m model.compare --quick                    one seed, the last 30 days: a first impression in minutes

Learning rates are tuned for each model on the first days, which are not reported; encoder, codebooks and SIDs are fitted again
for each seed, before the first reported day. Reads the lake at versions pinned in the run's plan and writes to
<home>/runs/compare/<name>/ alone. The same command goes on where a killed run stopped; finished cells are kept, so more seeds,
rankers or presets can be asked for later.
"""

import argparse
import os
import resource
import sys
import time
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

from features.artefacts import read_manifest, write_json
from features.clock import parse_as_of
from features.errors import ConfigError, exit_code
from features.live_codebook import live_codebook
from features.names import CLICKED, ORDERED, TABLE_MATURITY_REBUILT, TABLE_TRAINING_FRAME
from infra.settings import Settings, load_settings
from model.codebook_health import HealthLimits
from model.comparison.cells import in_order
from model.comparison.models import ALL, Models, has_sids, rankers_named
from model.comparison.plan import Plan, Run, alone, pinned_now, run_folder, settle
from model.comparison.pool import run_cells
from model.comparison.results import results
from model.comparison.table import markdown_lines, text_lines
from model.comparison.tuning import RATES, TUNING_SEEDS, all_rates, judged
from model.config import PRACTICAL, PRESETS, RANKERS
from model.dataset import PinnedTable, days_present
from model.leakage import refuse_leaks

QUICK_DAYS = 30
QUICK_RANKERS = (*RANKERS, "sid_concatenated")
# Of the days, one part is tuned on; where nothing is tuned, one part is reported, since the first days have a fresh model.
SHARE = 3


def compare(settings: Settings, given: argparse.Namespace, say=print) -> Path:
    """Compute what is missing, write results.json, rates.json and table.md, return the first.

    Raises ConfigError, ArtefactError, DataError; see models, plan, settle, refuse_leaks, run_cells.
    """
    home, asked_models = settings.layout, models(given)
    asked, report_days = plan(settings, given, asked_models)
    folder = run_folder(home, given.name or asked.as_of + ("-quick" if given.quick else ""))
    with alone(folder):
        run = Run(settle(folder, asked), home, folder, HealthLimits(**asdict(settings.codebook_health)))
        pinned = run.plan.versions
        say(f"{folder} | {run.plan}")
        newer = {name: now for name, now in asked.versions.items() if pinned.get(name, now) != now}
        if newer:
            say(f"tables have newer versions now ({newer}); this run stays with those it was begun with")
        frame = PinnedTable.at(home.table(TABLE_TRAINING_FRAME), pinned[TABLE_TRAINING_FRAME])
        days = run.plan.days()[-report_days:]
        maturity = home.table(TABLE_MATURITY_REBUILT)
        published = PinnedTable.at(maturity) if maturity.exists() else None
        refuse_leaks(frame, sorted(set(days_present(frame)) & set(days)), published)
        began = time.monotonic()
        run_cells(run, in_order(run, asked_models), given.jobs or os.cpu_count() or 1, say)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        say(f"cells took {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU")
        write_json(folder / "rates.json", all_rates(run, asked_models.rankers, asked_models.presets))
        found = results(run, asked_models, settings.data.dataset, days)
        write_json(folder / "results.json", found)
        (folder / "table.md").write_text("\n".join(markdown_lines(found)) + "\n")
    say("\n".join(text_lines(found, grey=sys.stdout.isatty())))
    return folder / "results.json"


def models(given: argparse.Namespace) -> Models:
    """Raises ConfigError: see Models."""
    rankers = rankers_named(given.rankers) if given.rankers else QUICK_RANKERS if given.quick else RANKERS
    seeds = given.seeds if given.seeds is not None else 1 if given.quick else 3
    return Models(rankers, tuple(given.presets.split(",")), seeds, given.ablation_seeds)


def plan(settings: Settings, given: argparse.Namespace, asked: Models) -> tuple[Plan, int]:
    """What is asked for, at the newest versions, and how many days are reported.

    Raises ConfigError: days that are not in the frame, or none left to tune on or to report; ArtefactError: no table or
    codebook.
    """
    layout = settings.layout
    codebook = given.codebook or (live_codebook(layout) if given.quick and any(map(has_sids, asked.rankers)) else None)
    versions = pinned_now(layout, codebook)
    present = days_present(PinnedTable.at(layout.table(TABLE_TRAINING_FRAME), versions[TABLE_TRAINING_FRAME]))
    if not present:
        raise ConfigError("training_frame has no rows: run spark_jobs.training_frame")
    as_of = parse_as_of(given.as_of) if given.as_of else date.fromisoformat(present[-1]) + timedelta(days=1)
    first = max(present[0], str(as_of - timedelta(days=QUICK_DAYS))) if given.quick else present[0]
    start = parse_as_of(given.start or first)
    count = (as_of - start).days
    if count < 2 or not any(str(start) <= ds < str(as_of) for ds in present):
        raise ConfigError(f"training_frame has {present[0]} to {present[-1]}; expected at least two days of it, "
                          f"got --from {start} --as-of {as_of}")
    tune_days = tuned(given, start, count, present)
    report_days = reported(given, settings, count, tune_days)
    first_reported = as_of - timedelta(days=report_days)
    sids_as_of = None if codebook else parse_as_of(given.sids_as_of or str(first_reported))
    if sids_as_of and sids_as_of > first_reported:
        raise ConfigError(f"--sids-as-of must not be after the first reported day, {first_reported}, or SIDs would know "
                          f"reported days; got {sids_as_of}")
    dataset = layout.dataset(settings.data.dataset)
    labels = tuple(read_manifest(dataset)["labels"]) if dataset.exists() else (CLICKED, ORDERED)
    return Plan(str(start), str(as_of), tune_days, RATES if tune_days else (),
                TUNING_SEEDS if tune_days else (), codebook, sids_as_of and str(sids_as_of),
                settings.training.batch_size, labels, versions), report_days


def tuned(given: argparse.Namespace, start: date, count: int, present: list[str]) -> int:
    """How many days are tuned on, 0 for none. Raises ConfigError: too few, too many, or days without rows."""
    if given.no_tuning or given.quick:
        return 0
    days = count // SHARE if given.tune_days is None else given.tune_days
    if not 2 <= days < count:
        raise ConfigError(f"--tune-days must be at least 2 and leave days to report of the {count} compared, got {days}: give "
                          "another number, or --no-tuning")
    span = judged([str(start + timedelta(days=n)) for n in range(days)])
    if not set(span).intersection(present):
        raise ConfigError(f"training_frame has no rows from {span[0]} to {span[-1]}, on which rates would be judged: give "
                          "another --tune-days, or --no-tuning")
    return days


def reported(given: argparse.Namespace, settings: Settings, count: int, tune_days: int) -> int:
    """How many days the table is of. Raises ConfigError: none, or some that rates were tuned on."""
    usual = count - tune_days if tune_days else max(1, min(settings.training.report_days, count // SHARE))
    days = given.report_days or usual
    if not 0 < days <= count - tune_days:
        raise ConfigError(f"--report-days must be from 1 to the {count - tune_days} days compared and not tuned on, got {days}")
    return days


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rankers", metavar="R,…", help=f"with commas between, or {ALL}; the others are compared with the "
                        f"first (default: {','.join(RANKERS)}; with --quick {','.join(QUICK_RANKERS)})")
    parser.add_argument("--presets", default=PRACTICAL, metavar="P,…", help=f"of {', '.join(PRESETS)} (default: %(default)s)")
    parser.add_argument("--seeds", type=int, help="how many, from 1 on (default: 3; with --quick 1)")
    parser.add_argument("--ablation-seeds", type=int, default=2, help="of the papers' ablations, at most --seeds (%(default)s)")
    parser.add_argument("--from", dest="start", metavar="D0", help="first day learnt from (default: the frame's first)")
    parser.add_argument("--as-of", metavar="D", help="every day before it (default: the day after the frame's last)")
    parser.add_argument("--tune-days", type=int, metavar="N", help="rates are tuned on the first N days (default: a third)")
    parser.add_argument("--no-tuning", action="store_true", help="the preset's rates, as with --quick")
    parser.add_argument("--report-days", type=int, metavar="N", help="how many days the table is of, the last ones (default: "
                        "all that are not tuned on; without tuning: settings, at most a third)")
    parser.add_argument("--sids-as-of", metavar="D", help="SIDs know the days before it (default: the first reported day)")
    parser.add_argument("--codebook", help="one version for all seeds (default: fitted for each; with --quick the live one)")
    parser.add_argument("--quick", action="store_true", help=f"one seed, the last {QUICK_DAYS} days, no tuning")
    parser.add_argument("--name", help="of the run's folder under runs/compare (default: from --as-of and --quick)")
    parser.add_argument("--jobs", type=int, help="cells at a time (default: a core each)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: print(compare(load_settings(), parse(argv), say=lambda line: print(line, flush=True))))


if __name__ == "__main__":
    sys.exit(main())
