"""`gatesid compare` as sections of a page, from its results.json alone; a part that a comparison does not have is left out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from features.errors import ArtefactError
from features.layout import Layout
from infra.report import plots
from infra.report.codes_and_weights import code_use, gate, norms
from infra.report.differences import LEGEND, every_figure, heat_map, held_against
from infra.report.figures import FEW_POSITIVES, bucket, few
from infra.report.page import Cell, folded, heading, listing, page, paragraph, section, table
from infra.report.page import plots as drawn

KEYS = {"rankers", "seeds", "days", "trained_from", "plan", "rates", "ablations", "data", "codebook", "sids", "code", "presets",
        "notes"}
LEADING = ("auc", "gauc")
CHOSEN = "rgb(11 122 117 / 0.12)"


def comparisons(layout: Layout) -> list[str]:
    """Names of the finished ones, the newest last."""
    files = sorted(layout.home.glob("runs/compare/*/results.json"), key=lambda file: file.stat().st_mtime)
    return [file.parent.name for file in files]


def read_comparison(layout: Layout, name: str) -> dict[str, Any]:
    """Raises ArtefactError: there is none of this name, or it was written by another version of this code."""
    if name not in (known := comparisons(layout)):
        raise ArtefactError(f"no finished comparison {name!r} in {layout.home}/runs/compare, there is "
                            f"{', '.join(sorted(known)) or 'none'}: run `gatesid compare --name {name}`, or give another")
    path = layout.home / "runs" / "compare" / name / "results.json"
    result = json.loads(path.read_text())
    if missing := KEYS - set(result):
        raise ArtefactError(f"{path} has no {', '.join(sorted(missing))}: another version of this code wrote it; the same "
                            "`gatesid compare` again writes it anew from finished cells")
    return result


def comparison_page(name: str, result: Mapping[str, Any]) -> str:
    return page(f"Comparison {name}", said(result), [part for part in (
        who_wins(result), by_age(result), by_day(result), gate(result), norms(result), code_use(result), ablations(result),
        rates(result), origin(result)) if part])


def newest(layout: Layout) -> str:
    """The heat maps of the newest comparison, for a page of other things; empty where there is none."""
    if not (known := comparisons(layout)):
        return ""
    try:
        result = read_comparison(layout, known[-1])
    except ArtefactError as fault:
        return section("Rankers compared", paragraph(str(fault), soft=True))
    return section("Rankers compared", paragraph(
        f"{said(result)} All of it: `gatesid report --comparison {known[-1]}`."), *maps(result), paragraph(LEGEND, soft=True))


def said(result: Mapping[str, Any]) -> str:
    days, plan = result["days"], result["plan"]
    tuned = f"rates tuned on the first {plan['tune_days']} days" if result["rates"] else "rates of the presets"
    return (f"{(result['data'] or {}).get('name', 'Data set not here any more')}, {days[0]} to {days[-1]} ({len(days)} days), "
            f"each scored by the model of the days before; trained from {result['trained_from']}; seeds "
            f"{', '.join(map(str, result['seeds']))}; {tuned}.")


def blocks(result: Mapping[str, Any], kind: str = "slices") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """("CTR, preset practical", slices) of every preset and task; kind: slices or by_age."""
    for preset, block in result["presets"].items():
        for task in block["tasks"]:
            yield f"{task.upper()}, preset {preset}", block[kind][task]


def compared(result: Mapping[str, Any], slices: Mapping[str, Any], ablated: bool = False) -> dict[str, list[str]]:
    """Who is held against whom, of the main models or of the ablations."""
    return held_against(slices, [ranker for ranker in result["rankers"] if (ranker in result["ablations"]) == ablated])


def who_wins(result: Mapping[str, Any]) -> str:
    notes = [heading("To hold against these figures"), listing(result["notes"])] if result["notes"] else []
    shown = maps(result) or [paragraph("One ranker alone: there is nobody to compare it with.")]
    return section("Who wins where", *shown, paragraph(LEGEND, soft=True), *notes)


def maps(result: Mapping[str, Any], ablated: bool = False) -> list[str]:
    parts = []
    for title, slices in blocks(result):
        for to, rankers in compared(result, slices, ablated).items():
            parts += [heading(f"{title}: against {to}"), *(heat_map(slices, to, rankers, metric) for metric in LEADING),
                      folded("Every figure", every_figure(slices, to, rankers))]
    return parts


def by_age(result: Mapping[str, Any]) -> str:
    parts = []
    for title, ages in blocks(result, "by_age"):
        for to, rankers in compared(result, ages).items():
            for metric in LEADING:
                series = {ranker: [readable(cell, cell["difference"][ranker][metric]) for cell in ages.values()]
                          for ranker in rankers}
                parts.append(drawn(plots.panels(f"{metric.upper()} gain over {to} by days online, points ({title})",
                                                [*map(bucket, ages)], series, plots.draw_gains)))
            parts.append(folded("Every figure", every_figure(ages, to, rankers)))
    return section("Gain by item age", paragraph(
        f"Grey: not resolved. No bar: fewer than {FEW_POSITIVES} positives, whose chance would set the scale.", soft=True),
        *parts) if parts else ""


def readable(cell: Mapping[str, Any], gap: Mapping[str, Any]) -> dict[str, Any]:
    """A difference as a bar should show it: none of few positives."""
    return {**gap, "mean": None} if few(cell) else dict(gap)


def by_day(result: Mapping[str, Any]) -> str:
    parts = []
    for preset, block in result["presets"].items():
        for task in block["tasks"]:
            days = [day for day in block["per_day"] if day["task"] == task]
            for to, rankers in compared(result, block["slices"][task]).items():
                for metric in LEADING:
                    series = {ranker: [day_gap(day[ranker][metric], day[to][metric]) for day in days] for ranker in rankers}
                    parts.append(drawn(plots.panels(
                        f"{metric.upper()} gain over {to} by day, points ({task.upper()}, preset {preset})",
                        [day["ds"][5:] for day in days], series, plots.draw_days)))
    return section("Gain day by day", paragraph(
        f"Thin: the day's; bold: the mean of {plots.MEAN_DAYS} days.", soft=True), *parts) if parts else ""


def day_gap(own: list[float | None], other: list[float | None]) -> float | None:
    """The mean difference over the seeds that both have (they count from 1, so the first ones); None: undefined on that day."""
    gaps = [a - b for a, b in zip(own, other, strict=False) if a is not None and b is not None]
    return sum(gaps) / len(gaps) if gaps else None


def ablations(result: Mapping[str, Any]) -> str:
    parts = maps(result, ablated=True)
    return section("Ablations", paragraph(
        "Each against the model it leaves something out of, over the seeds both have: brown is what the part was worth.",
        soft=True), *parts) if parts else ""


def rates(result: Mapping[str, Any]) -> str:
    """Every point of the grid: what was chosen, and by how much."""
    parts = []
    for preset, rankers in result["rates"].items():
        grid = [(point["dense_rate"], point["table_rate"]) for point in next(iter(rankers.values()))["points"]]
        rows = [[ranker, *(rate_cell(point, tuned["chosen"]) for point in tuned["points"])]
                for ranker, tuned in rankers.items()]
        header = ["log-loss", *(f"{dense:g} / {of_tables:g}" for dense, of_tables in grid)]
        parts += [heading(f"Preset {preset}"), table(header, rows, kind="heat")]
    return section("Learning rates", paragraph(
        f"Log-loss of CTR within the first {result['plan']['tune_days']} days, of which none is reported, of seed "
        f"{result['plan']['tuning_seeds'][0]}, for the best few the mean of seeds "
        f"{', '.join(map(str, result['plan']['tuning_seeds']))}, by rate of dense weights / of id tables. "
        "Bold: chosen.", soft=True), *parts) if parts else ""


def rate_cell(point: Mapping[str, Any], chosen: list[float]) -> Cell:
    is_chosen = [point["dense_rate"], point["table_rate"]] == list(chosen)
    auc = "" if point["auc"] is None else f"AUC {100 * point['auc']:.2f}; "
    by_seed = ", ".join("no number" if seed["log_loss"] is None else f"{seed['log_loss']:.4f}" for seed in point["seeds"])
    text = "no number" if point["log_loss"] is None else f"{point['log_loss']:.4f}"
    return Cell(text, "best" if is_chosen else "", CHOSEN if is_chosen else "",
                f"{auc}log-loss by seed {by_seed}")


def origin(result: Mapping[str, Any]) -> str:
    """What one needs to make the page again, or to doubt it."""
    plan, code, data = result["plan"], result["code"], result["data"] or {}
    rows = [
        ["days", f"{plan['start']} to before {plan['as_of']}; reported {result['days'][0]} to {result['days'][-1]}"],
        ["data set", ", ".join(f"{name} {data[name]}" for name in ("name", "users", "items", "schema_hash") if name in data)],
        ["its rows", ", ".join(f"{kind} {count:,}" for kind, count in data.get("rows", {}).items())],
        ["tables", ", ".join(f"{name}@{version}" for name, version in plan["versions"].items())],
        ["SIDs", plan["codebook"] or f"fitted for each seed as of {plan['sids_as_of']}"],
        ["batch size (practical)", plan["batch_size"]],
        ["code", f"commit {code['commit']}, sources {code['sources']}"],
        *([f"interval, {preset}", block["interval"]] for preset, block in result["presets"].items()),
    ]
    return section("What it was made from", table(["", ""], rows, kind="text"))
