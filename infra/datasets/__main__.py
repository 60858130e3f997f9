"""`python -m infra.datasets prepare|validate|load`: data sets into data/<name>/, and from there into the lake.

    python -m infra.datasets prepare complete_journey
    python -m infra.datasets prepare kuairand --path P [--prior-watches] [--keep-dates]
    python -m infra.datasets prepare own --events X --items Y [--columns M.toml] [--negatives N] [--out NAME]
    python -m infra.datasets prepare simulator --users 2000 --items 500 --days 30 --events 1000000 --seed 1 [--out NAME]
    python -m infra.datasets validate own --events X --items Y [--columns M.toml]
    python -m infra.datasets load NAME --from 2026-08-24 --as-of 2026-11-20
"""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from features.artefacts import read_manifest
from features.clock import Clock, SystemClock, parse_as_of
from features.errors import ConfigError, GatesidError
from infra.settings import Settings, load_settings


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.action(arguments, load_settings(), clock or SystemClock()))
    except GatesidError as fault:
        print(f"infra.datasets: {fault}", file=sys.stderr)
        return fault.exit_code


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m infra.datasets", description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    sources = commands.add_parser("prepare", help="make data/<name>/").add_subparsers(required=True, metavar="SOURCE")

    journey = sources.add_parser("complete_journey", help="grocery orders from the installed package")
    journey.add_argument("--path", type=Path, help="folder of its parquet files (default: the package's)")
    journey.set_defaults(action=prepare_complete_journey)

    kuairand = sources.add_parser("kuairand", help="KuaiRand's standard log: real impressions, clicks and long views")
    kuairand.add_argument("--path", type=Path, required=True, help="folder of the slice, or of the release")
    kuairand.add_argument("--prior-watches", action="store_true", help="what users watched before the slice as earlier clicks")
    kuairand.add_argument("--keep-dates", action="store_true", help="leave the dates as released: nothing is shifted or cut")
    kuairand.set_defaults(action=prepare_kuairand)

    own = sources.add_parser("own", help="your events and items, Parquet or CSV")
    add_own_flags(own)
    own.add_argument("--out", default="own", type=data_set_name, help="name of the data set (default: own)")
    own.set_defaults(action=prepare_own)

    simulator = sources.add_parser("simulator", help="a seeded world whose truth is known")
    for flag, default, about in (("users", 2_000, "people"), ("items", 500, "catalogue"),
                                 ("days", 30, "of history, the last one yesterday"),
                                 ("events", 1_000_000, "impressions, clicks and orders together, about"),
                                 ("seed", 1, "of everything")):
        simulator.add_argument(f"--{flag}", type=int, default=default, help=f"{about} (default {default:,})")
    simulator.add_argument("--out", default="simulator", type=data_set_name, help="name of the data set (default: simulator)")
    simulator.set_defaults(action=prepare_simulator)

    checks = commands.add_parser("validate", help="report every fault of your files; write nothing")
    checks = checks.add_subparsers(required=True, metavar="SOURCE").add_parser("own", help="your events and items")
    add_own_flags(checks)
    checks.set_defaults(action=validate_own)

    load = commands.add_parser("load", help="prepared history into lake/events and lake/items")
    load.add_argument("name", type=data_set_name)
    load.add_argument("--from", dest="start", help="first UTC day (default: the day before --as-of)")
    load.add_argument("--as-of", required=True, help="UTC day, excluded")
    load.set_defaults(action=load_history)
    return top


def add_own_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--events", type=Path, required=True, help="a .parquet or .csv file, or a folder of them")
    command.add_argument("--items", type=Path, required=True, help="likewise")
    command.add_argument("--columns", type=Path, help="TOML: which of your columns is which (infra/datasets/README.md)")
    command.add_argument("--negatives", type=int, default=0, metavar="N",
                         help="for a log without impressions: show N other users' items of the day beside each response")


def data_set_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        raise argparse.ArgumentTypeError(f"expected letters, digits, _ and - (at most 64), got {text!r}")
    return text


def prepare_complete_journey(arguments: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    from infra.datasets import complete_journey

    return tell(*complete_journey.prepare(
        settings.layout, clock, history_days=settings.data.history_days, negatives=settings.data.negatives_per_positive,
        seed=settings.data.seed, path=arguments.path))


def prepare_kuairand(arguments: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    from infra.datasets import kuairand

    return tell(*kuairand.prepare(settings.layout, clock, path=arguments.path, prior_watches=arguments.prior_watches,
                                  keep_dates=arguments.keep_dates))


def prepare_own(arguments: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    from infra.datasets import own

    return tell(*own.prepare(settings.layout, clock, name=arguments.out, events=arguments.events, items=arguments.items,
                             columns=arguments.columns, negatives=arguments.negatives, seed=settings.data.seed))


def validate_own(arguments: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    from infra.datasets import own

    return own.validate(clock, events=arguments.events, items=arguments.items, columns=arguments.columns,
                        negatives=arguments.negatives)


def prepare_simulator(arguments: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    from infra.datasets import simulator

    world = simulator.WorldConfig(users=arguments.users, items=arguments.items, days=arguments.days, events=arguments.events,
                                  seed=arguments.seed)
    return tell(*simulator.prepare(settings.layout, clock, name=arguments.out, world=world))


def load_history(arguments: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    from infra.datasets.lake import load

    as_of = parse_as_of(arguments.as_of)
    start = parse_as_of(arguments.start) if arguments.start else as_of - timedelta(days=1)
    if start >= as_of:
        raise ConfigError(f"--from {start} must be before --as-of {as_of}, which is excluded")
    loaded = load(settings.layout, arguments.name, start, as_of)
    for line in loaded.lines():
        print(line)
    print(f"{settings.layout.table('events')}@{loaded.events_version}")
    return 0


def tell(folder: Path, made: bool) -> int:
    """What the data set holds, and its folder as the last line."""
    manifest: dict[str, Any] = read_manifest(folder)
    print("prepared" if made else "already prepared from the same inputs, nothing to do")
    rows = ", ".join(f"{count:,} {kind}s" for kind, count in manifest["rows"].items())
    print(f"{rows} | {manifest['users']:,} users | {manifest['items']:,} items | "
          f"{manifest['first_day']} to {manifest['last_day']} | labels {', '.join(manifest['labels'])}")
    for title in ("rejected", "warnings"):
        for reason, count in manifest[title].items():
            if count:
                print(f"{title}: {reason}: {count:,}")
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
