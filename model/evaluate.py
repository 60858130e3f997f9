"""Who ranks better where: rankers side by side on the days they scored before learning from them.

    python -m model.evaluate --as-of 2026-11-22 --days 30 --seeds 1,2,3

Reads the predictions of model.train_ranker, prints a table and writes it with reports/evaluation-<as-of>/evaluation.json.
"""

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from features.artefacts import new_artefact, read_manifest, write_json
from features.clock import days_between, parse_as_of
from features.errors import ArtefactError, ConfigError, GatesidError
from features.layout import Layout
from infra.settings import load_settings
from model.config import RANKERS
from model.evaluation_table import table_lines
from model.intervals import UserDayInterval
from model.predictions import fingerprint
from model.side_by_side import read_tables, side_by_side

KIND = "evaluation"


def evaluate(layout: Layout, rankers: list[str], seeds: list[int], days: list[str]) -> dict[str, Any]:
    """Everything evaluation.json holds.

    Raises ArtefactError: a ranker or seed has no predictions of these days; DataError: they are of different rows.
    """
    shared, tables = read_tables(layout, {ranker: seeds for ranker in rankers}, days)
    inputs = {ranker: {str(seed): fingerprint(layout, ranker, seed, days) for seed in seeds} for ranker in rankers}
    figures = side_by_side(shared, tables, UserDayInterval.of)
    return {"rankers": rankers, "seeds": seeds, "days": days, "inputs": inputs} | figures


def publish(layout: Layout, as_of: str, result: dict[str, Any]) -> Path:
    """Write the report, or find that it is already there.

    Raises ArtefactError: another evaluation of that day exists.
    """
    folder = layout.report(f"evaluation-{as_of}")
    file = folder / "evaluation.json"
    if folder.exists():
        read_manifest(folder, kind=KIND)
        if json.loads(file.read_text()) != json.loads(json.dumps(result)):
            raise ArtefactError(f"{folder} holds another evaluation of {as_of}, of other days, seeds or predictions: "
                                "delete that folder first")
        return file
    with new_artefact(folder, kind=KIND, as_of=as_of, days=len(result["days"]), seeds=result["seeds"]) as draft:
        write_json(draft.path / file.name, result)
        (draft.path / "table.txt").write_text("\n".join(table_lines(result)) + "\n")
    return file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", required=True, help="the days before this one")
    parser.add_argument("--days", type=int, help="how many (default: settings)")
    parser.add_argument("--seeds", help="comma separated (default: settings)")
    parser.add_argument("--rankers", default=",".join(RANKERS), help="the first is what the others are compared with")
    given = parser.parse_args(argv)
    try:
        settings = load_settings()
        as_of = parse_as_of(given.as_of)
        count = settings.training.report_days if given.days is None else given.days
        seeds = parse_seeds(given.seeds) if given.seeds else [settings.training.seed]
        if count < 1:
            raise ConfigError(f"--days must be at least 1, got {count}")
        days = days_between(as_of - timedelta(days=count), as_of)
        result = evaluate(settings.layout, given.rankers.split(","), seeds, days)
        file = publish(settings.layout, str(as_of), result)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print("\n".join(table_lines(result)))
    print(file)
    return 0


def parse_seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds expects numbers such as 1,2,3, got {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
