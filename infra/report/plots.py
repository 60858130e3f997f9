"""The report's plots, drawn by matplotlib; each function takes plain numbers and returns a figure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, product
from math import ceil
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ACCENT, SOFT, WARN, INK, PALE = "#0b7a75", "#8a97a5", "#b5532a", "#1c2733", "#c9d1d8"
COLOURS = (SOFT, ACCENT, WARN, "#4b5fa6", "#b8901f", "#7a4988", "#5b9a4b", "#b0467a")
SIZE = (5.6, 3.2)
PANELS_IN_A_ROW = 4
MEAN_DAYS = 7


def blank(title: str, xlabel: str, ylabel: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=SIZE)
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    plain(axes)
    return figure, axes


def plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def done(figure: Any) -> Any:
    plt.close(figure)
    return figure


def name_ticks(axes: Any, names: Sequence[str], most: int = 12) -> None:
    """A label a place, or every second, third, … where there are too many."""
    step = max(1, ceil(len(names) / most))
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=30, ha="right")


def known(values: Sequence[float | None]) -> list[float]:
    """A missing value breaks a line."""
    return [float("nan") if value is None else value for value in values]


def lines(title: str, xlabel: str, ylabel: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> Any:
    """One line a series over named buckets."""
    figure, axes = blank(title, xlabel, ylabel)
    styles = cycle(product(("-", "--", ":"), COLOURS))
    for (label, values), (style, colour) in zip(series.items(), styles, strict=False):
        axes.plot(range(len(names)), known(values), marker="o", ms=4, label=label, color=colour, ls=style)
    name_ticks(axes, names)
    if len(series) > 1:
        # Beside the plot where there are many: they would hide the lines.
        axes.legend(frameon=False, fontsize=8, **({"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(series) > 3 else {}))
    return done(figure)


def gains(title: str, xlabel: str, names: Sequence[str], gaps: Sequence[Mapping[str, Any]]) -> Any:
    """Differences in points with their interval; a bar that is not resolved is grey."""
    figure, axes = blank(title, xlabel, "points")
    draw_gains(axes, gaps)
    name_ticks(axes, names)
    return done(figure)


def draw_gains(axes: Any, gaps: Sequence[Mapping[str, Any]]) -> None:
    for place, gap in enumerate(gaps):
        if gap["mean"] is not None:
            colour = PALE if not gap.get("resolved") else ACCENT if gap["mean"] > 0 else WARN
            axes.bar(place, 100 * gap["mean"], color=colour, width=0.7)
            if gap["low"] is not None and gap["high"] is not None:
                axes.vlines(place, 100 * gap["low"], 100 * gap["high"], color=INK, lw=1)
    axes.axhline(0, color=INK, lw=0.8)


def draw_days(axes: Any, gaps: Sequence[float | None]) -> None:
    """Differences in points, each day's and the mean of the last week's."""
    daily = known([None if gap is None else 100 * gap for gap in gaps])
    weeks = [[gap for gap in daily[max(0, n + 1 - MEAN_DAYS):n + 1] if gap == gap] for n in range(len(daily))]
    axes.plot(daily, color=PALE, lw=1)
    axes.plot([sum(week) / len(week) if week else float("nan") for week in weeks], color=ACCENT, lw=1.6)
    axes.axhline(0, color=INK, lw=0.8)


def panels(title: str, names: Sequence[str], series: Mapping[str, Any], draw: Callable[[Any, Any], None]) -> Any:
    """One small plot a series, all on one scale, over the same named places."""
    columns = min(PANELS_IN_A_ROW, len(series))
    rows = ceil(len(series) / columns)
    # At least as wide as other plots, or the title would not fit above one panel.
    size = (max(SIZE[0], 2.6 * columns), 2.1 * rows + 0.5)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    for axes, (label, values) in zip(grid.flat, series.items(), strict=False):
        draw(axes, values)
        axes.set_title(label, fontsize=9, loc="left")
        plain(axes)
        name_ticks(axes, names, most=8)
    for axes in grid.flat[len(series):]:
        axes.set_visible(False)
    return done(figure)


def bars(title: str, xlabel: str, ylabel: str, names: Sequence[str], values: Sequence[float]) -> Any:
    figure, axes = blank(title, xlabel, ylabel)
    axes.bar(range(len(values)), values, color=ACCENT, width=0.7)
    name_ticks(axes, names)
    return done(figure)


def grouped_bars(title: str, ylabel: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> Any:
    """At each name a bar of each series, side by side."""
    figure, axes = blank(title, "", ylabel)
    width = 0.8 / len(series)
    for n, ((label, values), colour) in enumerate(zip(series.items(), cycle(COLOURS), strict=False)):
        places = [place + (n - (len(series) - 1) / 2) * width for place in range(len(names))]
        axes.bar(places, known(values), width=width, color=colour, label=label)
    axes.legend(frameon=False, fontsize=8)
    name_ticks(axes, names, most=len(names))
    return done(figure)


def live(steps: Sequence[Mapping[str, Any]]) -> Any:
    """Score and gate weight of the new item against the clicks it has."""
    figure, axes = blank("The new item as clicks arrive", "clicks of 7 days", "score (CTR)")
    clicks = [step["click_7d"] for step in steps]
    axes.plot(clicks, [step["score"] for step in steps], marker="o", color=ACCENT)
    weights = [step.get("semantic_weight") for step in steps]
    if all(weight is not None for weight in weights):
        other = axes.twinx()
        other.plot(clicks, weights, marker="s", ls="--", color=WARN)
        other.set_ylabel("gate weight (1 = content)", fontsize=9, color=WARN)
        other.tick_params(labelsize=8)
    return done(figure)
