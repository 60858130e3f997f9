"""What results.json holds: the figures of side_by_side, and everything one needs to make or to doubt them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.artefacts import read_manifest
from features.layout import Layout
from model.code_version import commit, source_hash
from model.compare_plan import Plan
from model.config import preset
from model.intervals import UserAndDayInterval
from model.predictions import fingerprint, read_days
from model.side_by_side import side_by_side


def results(home: Layout, folder: Path, plan: Plan, dataset: str, rankers: list[str], seeds: list[int], report_days: int,
            ) -> dict[str, Any]:
    """Of these cells, which are finished, on the last `report_days` days. Raises ArtefactError, DataError as side_by_side."""
    runs, days = Layout(folder), plan.days()[-report_days:]
    tables = {ranker: {seed: read_days(runs.predictions(ranker, seed), days) for seed in seeds} for ranker in rankers}
    cells = {ranker: {str(seed): fingerprint(runs, ranker, seed, days) for seed in seeds} for ranker in rankers}
    described = {
        "rankers": rankers, "seeds": seeds, "days": days, "trained_from": plan.start, "plan": asdict(plan),
        "config": {ranker: preset(ranker, plan.preset)[0].to_json() for ranker in rankers},
        "data": manifest_of(home.dataset(dataset), "dataset"),
        "codebook": None if plan.codebook is None else manifest_of(home.codebook(plan.codebook), "codebook"),
        "code": {"commit": commit(), "sources": source_hash()}, "cells": cells,
    }
    return described | {"notes": notes(described)} | side_by_side(tables, UserAndDayInterval.of)


def manifest_of(folder: Path, kind: str) -> dict[str, Any] | None:
    """Without the lists that grow with the data; None where the artefact is not here any more."""
    if not folder.exists():
        return None
    return {name: value for name, value in read_manifest(folder, kind=kind).items() if name not in ("files", "rows_by_day")}


def notes(described: dict[str, Any]) -> list[str]:
    """What a reader should hold against the figures."""
    found, days, codebook = [], described["days"], described["codebook"]
    if codebook is not None and codebook["as_of"] > days[0]:
        known = sum(ds < codebook["as_of"] for ds in days)
        found.append(f"the codebook was fitted as of {codebook['as_of']}: its encoder saw co-clicks of {known} of "
                     f"the {len(days)} reported days, so that SIDs may know a little of them")
    if len(described["seeds"]) == 1:
        found.append("one seed: the interval does not hold what another seed would change")
    made_by = {cell["checkpoint"]["code"] for seeds in described["cells"].values() for cell in seeds.values()}
    if made_by != {described["code"]["sources"]}:
        found.append(f"cells were computed by code {', '.join(sorted(map(str, made_by)))}, the table by "
                     f"{described['code']['sources']}")
    return found
