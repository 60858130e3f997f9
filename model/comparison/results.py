"""What results.json holds: the figures of side_by_side for each preset, and everything one needs to make or to doubt them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.artefacts import read_manifest
from model.code_version import commit, source_hash
from model.comparison.models import Models, quantiser_of, whole_of
from model.comparison.norms import embedding_norms
from model.comparison.plan import Run
from model.comparison.tuning import all_rates
from model.comparison.views import views_before, views_counted
from model.config import preset
from model.intervals import UserAndDayInterval
from model.predictions import fingerprint
from model.side_by_side import read_tables, side_by_side


def results(run: Run, models: Models, dataset: str, days: list[str]) -> dict[str, Any]:
    """Of these models, whose cells are finished, on the reported days. Raises ArtefactError, DataError as side_by_side."""
    plan = run.plan
    described = {
        "rankers": list(models.rankers), "seeds": list(range(1, models.seeds + 1)), "days": days, "trained_from": plan.start,
        "plan": asdict(plan), "rates": all_rates(run, models.rankers, models.presets),
        "ablations": {ranker: whole_of(ranker) for ranker in models.ablations()},
        "data": manifest_of(run.home.dataset(dataset), "dataset"),
        "codebook": None if plan.codebook is None else manifest_of(run.home.codebook(plan.codebook), "codebook"),
        "sids": fitted(run, models), "views": views_counted(run), "code": {"commit": commit(), "sources": source_hash()},
        "presets": {name: of_preset(run, models, name, days) for name in models.presets},
    }
    return described | {"notes": notes(described)}


def of_preset(run: Run, models: Models, name: str, days: list[str]) -> dict[str, Any]:
    layout, seeds = run.of(name), {ranker: models.seeds_of(ranker) for ranker in models.rankers}
    shared, tables = read_tables(layout, seeds, days)
    return {
        "config": {ranker: preset(ranker, name)[0].to_json() for ranker in models.rankers},
        "cells": {ranker: {str(seed): fingerprint(layout, ranker, seed, days) for seed in numbers}
                  for ranker, numbers in seeds.items()},
        "embedding_norms": {ranker: {str(seed): embedding_norms(run, layout.checkpoint(ranker, seed, run.plan.as_of))
                                     for seed in numbers} for ranker, numbers in seeds.items()},
    } | side_by_side(shared, tables, UserAndDayInterval.of, models.held_against(), views_before(run, shared))


def fitted(run: Run, models: Models) -> dict[str, Any]:
    """By seed and quantiser, what was fitted: versions, sizes, alignment, health. Empty where one codebook served all seeds."""
    if run.plan.codebook is not None:
        return {}
    used = dict.fromkeys(kind for ranker in models.rankers if (kind := quantiser_of(ranker)))
    return {str(seed): {kind: json.loads(file.read_text()) for kind in used if (file := run.fitted(seed, kind)).is_file()}
            for seed in range(1, models.seeds + 1)}


def manifest_of(folder: Path, kind: str) -> dict[str, Any] | None:
    """Without the lists that grow with the data; None where the artefact is not here any more."""
    if not folder.exists():
        return None
    return {name: value for name, value in read_manifest(folder, kind=kind).items() if name not in ("files", "rows_by_day")}


def notes(described: dict[str, Any]) -> list[str]:
    """What a reader should hold against the figures."""
    found, days, codebook = [], described["days"], described["codebook"]
    if codebook is not None:
        found.append("one codebook served all seeds: what another one would change is in no interval")
        if codebook["as_of"] > days[0]:
            known = sum(ds < codebook["as_of"] for ds in days)
            found.append(f"the codebook was fitted as of {codebook['as_of']}: its encoder saw co-clicks of {known} of "
                         f"the {len(days)} reported days, so that SIDs may know a little of them")
    if any(kind["alignment"] == "content_only" for kinds in described["sids"].values() for kind in kinds.values()):
        found.append("there were no co-click pairs before the reported days: encoders learnt from content alone")
    if not described["rates"]:
        found.append("learning rates were not tuned: every model has its preset's")
    if len(described["seeds"]) == 1:
        found.append("one seed: the interval does not hold what another seed would change")
    made_by = {cell["checkpoint"]["code"] for block in described["presets"].values()
               for seeds in block["cells"].values() for cell in seeds.values()}
    if made_by != {described["code"]["sources"]}:
        found.append(f"cells were computed by code {', '.join(sorted(map(str, made_by)))}, the table by "
                     f"{described['code']['sources']}")
    return found
