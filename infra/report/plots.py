"""The report's plots, drawn by matplotlib; each function takes plain numbers and returns a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ACCENT, SOFT, WARN = "#0b7a75", "#8a97a5", "#b5532a"
SIZE = (5.6, 3.2)


def blank(title: str, xlabel: str, ylabel: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=SIZE)
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def done(figure: Any) -> Any:
    plt.close(figure)
    return figure


def lines(title: str, xlabel: str, ylabel: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> Any:
    """One line a series over named buckets; a missing value breaks the line."""
    figure, axes = blank(title, xlabel, ylabel)
    for (label, values), colour in zip(series.items(), (SOFT, ACCENT, WARN), strict=False):
        known = [float("nan") if value is None else value for value in values]
        axes.plot(range(len(names)), known, marker="o", ms=4, label=label, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=8)
    return done(figure)


def gains(title: str, xlabel: str, names: Sequence[str], gaps: Sequence[Mapping[str, float | None]]) -> Any:
    """Differences in points with their interval; a bar that touches zero is grey."""
    figure, axes = blank(title, xlabel, "points")
    for place, gap in enumerate(gaps):
        if gap.get("mean") is None:
            continue
        mean, low, high = (None if gap.get(key) is None else 100 * float(gap[key] or 0) for key in ("mean", "low", "high"))
        resolved = low is not None and high is not None and low * high > 0
        axes.bar(place, mean, color=ACCENT if resolved else "#c9d1d8", width=0.7)
        if low is not None and high is not None:
            axes.vlines(place, low, high, color="#1c2733", lw=1)
    axes.axhline(0, color="#1c2733", lw=0.8)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    return done(figure)


def bars(title: str, xlabel: str, ylabel: str, names: Sequence[str], values: Sequence[float]) -> Any:
    figure, axes = blank(title, xlabel, ylabel)
    axes.bar(range(len(values)), values, color=ACCENT, width=0.7)
    step = max(1, len(names) // 12)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=30, ha="right")
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
