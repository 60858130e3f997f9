"""A comparison as tables, for a terminal or as Markdown, both from results.json: for each preset the main models, then what
each ablation changes. One line a slice and ranker.

AUC and GAUC in points (x 100), log-loss in nats, calibration as mean score / share of positives.
"""

from collections.abc import Iterator
from typing import Any

FEW_POSITIVES = 200
HEADER = ("slice", "positives", "ranker", "AUC", "against", "GAUC", "against", "log-loss", "against", "calibration")
FACTOR = {"auc": (100, 2), "gauc": (100, 2), "log_loss": (1, 4), "calibration": (1, 3)}
GREY, PLAIN = "\033[2m", "\033[0m"
LEGEND = ("mean ± sd over seeds; against: paired difference [interval] ± sd over the seeds both have; ~ not resolved: the "
          f"interval, widened by 1.96 sd / √seeds, holds 0; * under {FEW_POSITIVES} positives")
Line = tuple[list[str], bool]  # cells, and whether they show something resolved


def heading(result: dict[str, Any]) -> list[str]:
    days, seeds, plan = result["days"], result["seeds"], result["plan"]
    interval = next(iter(result["presets"].values()))["interval"]
    rates = f"rates tuned on the first {plan['tune_days']} days" if result["rates"] else "rates of the presets"
    sids = f"SIDs fitted for each seed as of {plan['sids_as_of']}" if result["sids"] else f"codebook {plan['codebook']}"
    return [f"{days[0]} to {days[-1]} ({len(days)} days), each scored by the model of the days before, trained from "
            f"{result['trained_from']}; seeds {', '.join(map(str, seeds))}; {rates}; {sids}",
            f"interval: {interval}", LEGEND, *(f"note: {note}" for note in result["notes"])]


def sections(result: dict[str, Any]) -> Iterator[tuple[str, list[Line]]]:
    """(title, lines) of every table."""
    ablations = result["ablations"]
    for name, block in result["presets"].items():
        main = [ranker for ranker in result["rankers"] if ranker not in ablations]
        for task in block["tasks"]:
            slices = block["slices"][task]
            if main:
                yield f"{task.upper()}, preset {name}, against {main[0]}", list(table_lines(slices, main))
            against = {ranker: slices["all"]["difference"].get(ranker, {}).get("to") for ranker in ablations}
            for whole in dict.fromkeys(against.values()):
                others = [ranker for ranker, to in against.items() if to == whole]
                shown = [whole, *others] if whole else others
                yield f"{task.upper()}, preset {name}, ablations against {whole}", list(table_lines(slices, shown))


def text_lines(result: dict[str, Any], grey: bool) -> list[str]:
    """`grey`: the terminal knows escape codes, so lines without a resolved difference are dimmed."""
    lines = heading(result)
    for title, cells in sections(result):
        widths = [max(len(cell[n]) for cell, _ in [*cells, (HEADER, True)]) for n in range(len(HEADER))]
        lines += ["", title]
        for cell, plain in [(HEADER, True), *cells]:
            line = "  ".join(part.ljust(width) if n in (0, 2) else part.rjust(width)
                             for n, (part, width) in enumerate(zip(cell, widths, strict=True)))
            lines.append(line if plain or not grey else f"{GREY}{line}{PLAIN}")
    return [*lines, "", *gate_lines(result)]


def markdown_lines(result: dict[str, Any]) -> list[str]:
    lines = [f"{line}  " for line in heading(result)]
    for title, cells in sections(result):
        lines += ["", f"**{title}**", "", row(HEADER), row(["---"] * len(HEADER)), *(row(cell) for cell, _ in cells)]
    return [*lines, "", *(f"{line}  " for line in gate_lines(result))]


def row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def table_lines(slices: dict[str, Any], rankers: list[str]) -> Iterator[Line]:
    """The first ranker is what the others are held against: it has no difference here, and is never grey."""
    for name, cell in slices.items():
        positives = f"{cell['positives']:,}" + ("*" if cell["positives"] < FEW_POSITIVES else "")
        for n, ranker in enumerate(rankers):
            figures, gaps = cell["rankers"][ranker], cell["difference"].get(ranker) if n else None
            shown = [figure(figures[metric], metric) for metric in FACTOR]
            against = [difference(gaps[metric], metric) if gaps else "" for metric in ("auc", "gauc", "log_loss")]
            resolved = not gaps or any(gaps[metric]["resolved"] for metric in ("auc", "gauc"))
            # The slice's name and positives stand once, on its first line.
            place = [name, positives] if n == 0 else ["", ""]
            yield [*place, ranker, shown[0], against[0], shown[1], against[1], shown[2], against[2], shown[3]], resolved


def figure(value: dict[str, Any], metric: str) -> str:
    factor, digits = FACTOR[metric]
    if value["mean"] is None:
        return "-"
    sd = "" if value["sd"] is None else f" ±{factor * value['sd']:.{digits}f}"
    return f"{factor * value['mean']:.{digits}f}{sd}"


def difference(gap: dict[str, Any], metric: str) -> str:
    """+1.23 [+0.98, +1.47] ±0.05, with ~ before what is not resolved."""
    factor, digits = FACTOR[metric]
    if gap["mean"] is None:
        return "-"
    bounds = "" if gap["low"] is None else f" [{factor * gap['low']:+.{digits}f}, {factor * gap['high']:+.{digits}f}]"
    sd = "" if gap["sd"] is None else f" ±{factor * gap['sd']:.{digits}f}"
    return f"{'' if gap['resolved'] else '~'}{factor * gap['mean']:+.{digits}f}{bounds}{sd}"


def gate_lines(result: dict[str, Any]) -> list[str]:
    """Mean gate weight by age and by exposure, a line each."""
    return [f"{ranker} of {preset}, mean gate weight (1 = content) by {kind}: " + ", ".join(
                f"{name.split('_', 2)[2].replace('_', '–')} {'-' if cell['mean'] is None else format(cell['mean'], '.2f')}"
                for name, cell in buckets.items())
            for preset, block in result["presets"].items()
            for ranker, kinds in block["semantic_weight"].items() for kind, buckets in kinds.items()]
