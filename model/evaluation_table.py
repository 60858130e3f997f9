"""An evaluation as a table a person reads: figures in points (x 100), differences with their interval."""

from typing import Any

FEW_POSITIVES = 200


def table_lines(result: dict[str, Any]) -> list[str]:
    """One block a task and ranker, one line a slice; then gain and gate weight by age."""
    first, *others = result["rankers"]
    days = result["days"]
    lines = [f"{days[0]} to {days[-1]}, each day scored by the model of the days before | seeds "
             f"{', '.join(map(str, result['seeds']))} | points = x 100 | [95 % interval over user-days] | "
             f"* under {FEW_POSITIVES} positives"]
    for task, slices in result["slices"].items():
        for other in others:
            lines += ["", f"{task.upper():28} {'rows':>9} {'positive':>9}  {'AUC ' + first:>12} {'AUC ' + other:>12}  "
                          f"{'difference':>23}  {'GAUC ' + first:>12} {'GAUC ' + other:>12}  {'difference':>23}"]
            lines += [slice_line(name, cell, first, other) for name, cell in slices.items()]
        for other in others:
            lines += ["", f"{task.upper()} gain of {other} by item age, and its mean gate weight (1 = content)"]
            weights = result["semantic_weight"].get(other, {}).get("age", {})
            lines += [age_line(name, cell["difference"][other], cell["positives"], weights.get(name, {}).get("mean"))
                      for name, cell in result["by_age"][task].items()]
    for ranker, kinds in result["semantic_weight"].items():
        shown = "  ".join(f"{name.removeprefix('exposure_7d_')}: {plain(cell['mean'])}"
                          for name, cell in kinds["exposure"].items())
        lines += ["", f"{ranker}, mean gate weight by exposures of 7 days   {shown}"]
    return lines


def slice_line(name: str, cell: dict[str, Any], first: str, other: str) -> str:
    figures, gap = cell["rankers"], cell["difference"][other]
    mark = "*" if cell["positives"] < FEW_POSITIVES else " "
    shown = [f"{points(figures[first][metric]['mean']):>12} {points(figures[other][metric]['mean']):>12}  "
             f"{difference(gap[metric])}" for metric in ("auc", "gauc")]
    return f"{name:28} {cell['rows']:>9,} {cell['positives']:>8,}{mark}  " + "  ".join(shown)


def age_line(name: str, gap: dict[str, Any], positives: int, weight: float | None) -> str:
    mark = "*" if positives < FEW_POSITIVES else " "
    return (f"{name:28} {positives:>8,}{mark}  AUC {difference(gap['auc'])}  GAUC {difference(gap['gauc'])}  "
            f"w {plain(weight)}")


def points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def difference(gap: dict[str, float | None]) -> str:
    """+1.23 [+0.98, +1.47] ± sd over seeds, where there are several."""
    if gap["mean"] is None:
        return f"{'-':>23}"
    bounds = "" if gap.get("low") is None else f" [{100 * gap['low']:+.2f}, {100 * gap['high']:+.2f}]"
    seeds = "" if gap["sd"] is None else f" ±{100 * gap['sd']:.2f}"
    return f"{100 * gap['mean']:+.2f}{bounds}{seeds}".rjust(23)


def plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
