"""Rankers x seeds under one protocol, and who wins where: day d is scored by the model of day d-1, then learnt in one pass.

    python -m model.compare --seeds 3                  Base against GateSID over the days of the training frame
    python -m model.compare --quick                    one seed, the last 30 days: a first impression in minutes

Reads the lake at versions pinned in the run's plan and writes to <home>/runs/compare/<name>/ alone. The same command goes on
where a killed run stopped; finished cells (a ranker with a seed) are kept, so more seeds or rankers can be asked for later.
"""

import argparse
import os
import resource
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from features.artefacts import read_manifest, write_json
from features.clock import parse_as_of
from features.errors import ConfigError, exit_code
from features.live_codebook import live_codebook
from features.names import CLICKED, ORDERED, TABLE_TRAINING_FRAME
from infra.settings import Settings, load_settings
from model.compare_cells import run_cells
from model.compare_plan import Plan, alone, has_sids, pinned_now, run_folder, settle
from model.compare_results import results
from model.compare_table import markdown_lines, text_lines
from model.config import ALL_RANKERS, PAPER, PRACTICAL, PRESETS, RANKERS, preset
from model.dataset import PinnedTable, days_present
from model.leakage import refuse_leaks

QUICK_DAYS = 30
# Of the days, unless --report-days says otherwise: rates were tuned on early days, and the first days have a fresh model.
REPORTED_SHARE = 3


def compare(settings: Settings, given: argparse.Namespace, say=print) -> Path:
    """Compute what is missing, write results.json and table.md, return the former.

    Raises ConfigError, ArtefactError, DataError; see plan, settle, refuse_leaks, run_cells.
    """
    home, (asked, report_days) = settings.layout, plan(settings, given)
    rankers, seeds = rankers_of(given.rankers), list(range(1, seed_count(given) + 1))
    folder = run_folder(home, given.name or default_name(asked, given.quick))
    with alone(folder):
        pinned = settle(folder, asked)
        say(f"{folder} | {pinned}")
        newer = {name: now for name, now in asked.versions.items() if pinned.versions.get(name, now) != now}
        if newer:
            say(f"tables have newer versions now ({newer}); this run stays with those it was begun with")
        frame = PinnedTable.at(home.table(TABLE_TRAINING_FRAME), pinned.versions[TABLE_TRAINING_FRAME])
        refuse_leaks(frame, sorted(set(days_present(frame)) & set(pinned.days()[-report_days:])))
        began = time.monotonic()
        # Seed by seed, so that a run cut short compares all rankers on the seeds it has.
        cells = [(ranker, seed) for seed in seeds for ranker in rankers]
        run_cells(pinned, home, folder, cells, given.jobs or os.cpu_count() or 1, say)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        say(f"cells took {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU")
        found = results(home, folder, pinned, settings.data.dataset, rankers, seeds, report_days)
        write_json(folder / "results.json", found)
        (folder / "table.md").write_text("\n".join(markdown_lines(found)) + "\n")
    say("\n".join(text_lines(found, grey=sys.stdout.isatty())))
    return folder / "results.json"


def plan(settings: Settings, given: argparse.Namespace) -> tuple[Plan, int]:
    """What is asked for, at the newest versions, and how many days are reported.

    Raises ConfigError: days that are not in the frame, or none left; ArtefactError: no table, no codebook.
    """
    layout, rankers = settings.layout, rankers_of(given.rankers)
    codebook = (given.codebook or live_codebook(layout)) if any(map(has_sids, rankers)) else None
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
    report_days = given.report_days or max(1, min(settings.training.report_days, count // REPORTED_SHARE))
    if not 0 < report_days <= count:
        raise ConfigError(f"--report-days must be from 1 to the {count} days compared, got {report_days}")
    dataset = layout.dataset(settings.data.dataset)
    labels = tuple(read_manifest(dataset)["labels"]) if dataset.exists() else (CLICKED, ORDERED)
    batch_size = settings.training.batch_size if given.preset == PRACTICAL else preset(rankers[0], PAPER)[1].batch_size
    return Plan(str(start), str(as_of), codebook, given.preset, batch_size, labels, versions), report_days


def rankers_of(text: str) -> list[str]:
    """Raises ConfigError: an unknown ranker, or one named twice."""
    named = text.split(",")
    if (unknown := [name for name in named if name not in ALL_RANKERS]) or len(set(named)) < len(named):
        raise ConfigError(f"--rankers expects different ones of {', '.join(ALL_RANKERS)}; got {text!r} "
                          f"({', '.join(unknown) + ' unknown' if unknown else 'one twice'})")
    return named


def seed_count(given: argparse.Namespace) -> int:
    count = given.seeds if given.seeds is not None else 1 if given.quick else 3
    if count < 1:
        raise ConfigError(f"--seeds must be at least 1, got {count}")
    return count


def default_name(asked: Plan, quick: bool) -> str:
    return asked.as_of + ("-quick" if quick else "") + ("" if asked.preset == PRACTICAL else f"-{asked.preset}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rankers", default=",".join(RANKERS), help="the others are compared with the first (%(default)s)")
    parser.add_argument("--seeds", type=int, help="how many, from 1 on (default: 3; with --quick 1)")
    parser.add_argument("--from", dest="start", metavar="D0", help="first day learnt from (default: the frame's first)")
    parser.add_argument("--as-of", metavar="D", help="every day before it (default: the day after the frame's last)")
    parser.add_argument("--report-days", type=int, metavar="N",
                        help="how many days the table is of, the last ones (default: settings, at most a third)")
    parser.add_argument("--quick", action="store_true", help=f"one seed, the last {QUICK_DAYS} days")
    parser.add_argument("--name", help="of the run's folder under runs/compare (default: from --as-of, --quick and --preset)")
    parser.add_argument("--preset", choices=PRESETS, default=PRACTICAL)
    parser.add_argument("--codebook", help="codebook version (default: the live one)")
    parser.add_argument("--jobs", type=int, help="cells at a time (default: a core each)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: print(compare(load_settings(), parse(argv), say=lambda line: print(line, flush=True))))


if __name__ == "__main__":
    sys.exit(main())
