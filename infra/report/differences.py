"""Who is better than whom, and where: a heat map to see it, a table to read it. Both of a comparison's slices."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.report.figures import FEW_POSITIVES, NOTHING, few, figure, gap, points, stands
from infra.report.page import Cell, table

BETTER, WORSE = "11 122 117", "181 83 42"
PALEST, DEEPEST = 0.12, 0.62  # opacity: a small difference is still seen, and black text still read
Slices = Mapping[str, Mapping[str, Any]]  # by name: what model.evaluation.compare gave

HEADER = ("slice", "positives", "ranker", "AUC", "difference", "GAUC", "difference", "log-loss", "difference", "calibration")
METRICS = ("auc", "gauc", "log_loss")


def held_against(slices: Slices, rankers: Sequence[str]) -> dict[str, list[str]]:
    """Of these rankers, who is compared with whom: {that other: [ranker, …]}. Empty where nobody is."""
    differences = next(iter(slices.values()))["difference"]
    found: dict[str, list[str]] = {}
    for ranker in rankers:
        if ranker in differences:
            found.setdefault(differences[ranker]["to"], []).append(ranker)
    return found


def heat_map(slices: Slices, to: str, rankers: Sequence[str], metric: str) -> str:
    """Rankers x slices: the difference to `to` in points, deeper where it is larger, without colour where it does not stand.

    The first row is what `to` itself has, the last what the columns rest on.
    """
    gaps = {ranker: {name: cell["difference"][ranker][metric] for name, cell in slices.items()} for ranker in rankers}
    standing = {(ranker, name): row[name]["mean"] for ranker, row in gaps.items() for name, cell in slices.items()
                if stands(cell, row[name])}
    largest = max(map(abs, standing.values()), default=0.0)
    best = {name: max((gap for (_, place), gap in standing.items() if place == name and gap > 0), default=None)
            for name in slices}
    rows: list[list[Any]] = [[f"{to} itself", *(Cell(points(cell["rankers"][to][metric]["mean"]), "thin" if few(cell) else "")
                                                for cell in slices.values())]]
    for ranker, row in gaps.items():
        rows.append([ranker, *(heat_cell(cell, row[name], metric, largest, best[name]) for name, cell in slices.items())])
    rows.append(["positives", *(f"{cell['positives']:,}{'*' if few(cell) else ''}" for cell in slices.values())])
    return table([f"{metric.upper()}, points", *(name.replace("_", " ") for name in slices)], rows, kind="heat")


def heat_cell(cell: Mapping[str, Any], found: Mapping[str, Any], metric: str, largest: float, best: float | None) -> Cell:
    if found["mean"] is None:
        return Cell(NOTHING, "thin", hint=f"undefined; {cell['positives']:,} positives")
    hint = f"{gap(found, metric)}; {cell['positives']:,} positives"
    text = f"{'' if found['resolved'] else '~'}{100 * found['mean']:+.2f}"
    if not stands(cell, found):
        return Cell(text, "thin", hint=hint)
    opacity = PALEST + (DEEPEST - PALEST) * abs(found["mean"]) / largest
    fill = f"rgb({BETTER if found['mean'] > 0 else WORSE} / {opacity:.2f})"
    return Cell(text, "best" if found["mean"] == best else "", fill, hint)


def every_figure(slices: Slices, to: str, rankers: Sequence[str]) -> str:
    """A line a slice and ranker; `to` comes first and has no difference. Grey: few positives, or not resolved."""
    rows, thin = [], []
    for name, cell in slices.items():
        for ranker in (to, *rankers):
            place = [name, f"{cell['positives']:,}{'*' if few(cell) else ''}"] if ranker == to else ["", ""]
            figures, gaps = cell["rankers"][ranker], None if ranker == to else cell["difference"][ranker]
            pairs = [[figure(figures[metric], metric), difference(gaps[metric], metric) if gaps else ""] for metric in METRICS]
            rows.append([*place, ranker, *sum(pairs, []), figure(figures["calibration"], "calibration")])
            thin.append(few(cell))
    return table(HEADER, rows, thin)


def difference(found: Mapping[str, Any], metric: str) -> Cell:
    return Cell(f"{'' if found['resolved'] or found['mean'] is None else '~'}{gap(found, metric)}",
                "" if found["resolved"] else "thin")


LEGEND = (f"Green is better, brown worse; deeper is more, and bold the best of its column. Pale with ~: not resolved, the "
          f"interval widened by what other seeds would change holds 0. * and grey: fewer than {FEW_POSITIVES} positives. A "
          "pointer at rest on a cell shows its interval.")
