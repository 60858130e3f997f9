"""How the report writes figures, and which it greys: AUC and GAUC in points (× 100), log-loss in nats, – for the undefined."""

from collections.abc import Mapping
from typing import Any

FEW_POSITIVES = 200
FACTOR = {"auc": (100, 2), "gauc": (100, 2), "log_loss": (1, 4), "calibration": (1, 3)}  # shown as, decimals
NOTHING = "–"


def points(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.2f}"


def figure(value: Mapping[str, Any], metric: str) -> str:
    """75.20 ± 0.05, the latter over seeds."""
    factor, digits = FACTOR[metric]
    if value["mean"] is None:
        return NOTHING
    return f"{factor * value['mean']:.{digits}f}{spread(value, metric)}"


def gap(value: Mapping[str, Any], metric: str = "auc") -> str:
    """+1.23 [+0.98, +1.47] ± 0.05."""
    factor, digits = FACTOR[metric]
    if value.get("mean") is None:
        return NOTHING
    bounds = "" if value.get("low") is None else (
        f" [{factor * value['low']:+.{digits}f}, {factor * value['high']:+.{digits}f}]")
    return f"{factor * value['mean']:+.{digits}f}{bounds}{spread(value, metric)}"


def spread(value: Mapping[str, Any], metric: str) -> str:
    factor, digits = FACTOR[metric]
    return "" if value.get("sd") is None else f" ± {factor * value['sd']:.{digits}f}"


def few(cell: Mapping[str, Any]) -> bool:
    """A slice with so few positives that its figures are grey."""
    return bool(cell["positives"] < FEW_POSITIVES)


def stands(cell: Mapping[str, Any], gap: Mapping[str, Any]) -> bool:
    """A difference that is neither chance (its widened interval holds 0) nor of few positives."""
    return bool(gap.get("resolved")) and not few(cell)


def bucket(name: str) -> str:
    """10–99 of exposure_7d_10_99, 300 and more of online_days_300_inf."""
    low, _, high = name.split("_", 2)[2].partition("_")
    return f"{low}+" if high == "inf" else f"{low}–{high}" if high else low
