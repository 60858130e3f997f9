"""An item's maturity, and the papers' rules for calling it new, popular, cold or warm, each under its own name."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.clock import MS_PER_DAY

Array = NDArray[np.integer] | NDArray[np.floating]
# SaviorRec Table 1: half-open buckets of total historical views.
PV_EDGES = (0, 100, 500, 1_000, 5_000, 10_000, 20_000)


@dataclass(frozen=True, slots=True)
class ItemMaturity:
    """What the gate sees of an item (GateSID Eq. 3): the default is an item that nobody has met."""

    online_days: int = 0
    exposure_7d: int = 0
    click_7d: int = 0


def online_days(as_of_ms: NDArray[np.int64], online_since_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole days online, -1 where the item is not yet online (R25: null). Both int64[...] in milliseconds."""
    return np.where(as_of_ms >= online_since_ms, (as_of_ms - online_since_ms) // MS_PER_DAY, -1)


def new_under_20_days(days: Array) -> NDArray[np.bool_]:
    """GateSID's new items; a missing age (-1) counts as new."""
    return np.asarray(days) < 20


def popular_over_300_days(days: Array) -> NDArray[np.bool_]:
    """GateSID's popular items: despite the name, a rule on age alone."""
    return np.asarray(days) > 300


def under_200_impressions_7d(exposure_7d: Array) -> NDArray[np.bool_]:
    """SMILE's printed rule for cold items."""
    return np.asarray(exposure_7d) < 200


def warm_over_3_clicks_or_order_7d(click_7d: Array, order_7d: Array) -> NDArray[np.bool_]:
    """SMILE's printed rule for warm items."""
    return (np.asarray(click_7d) > 3) | (np.asarray(order_7d) > 0)


def smile_groups(exposure_7d: Array, click_7d: Array, order_7d: Array) -> dict[str, NDArray[np.bool_]]:
    """SMILE's warm, cold and neither, made disjoint by letting warm win (R24: the printed rules overlap)."""
    warm = warm_over_3_clicks_or_order_7d(click_7d, order_7d)
    cold = under_200_impressions_7d(exposure_7d) & ~warm
    return {"smile_warm": warm, "smile_cold": cold, "smile_neither": ~warm & ~cold}


def pv_bucket_names() -> tuple[str, ...]:
    edges = [*PV_EDGES, None]
    return tuple(f"pv_bucket_{low}_{'inf' if high is None else high}" for low, high in zip(edges, edges[1:], strict=False))


def pv_bucket(pv: Array) -> NDArray[np.int64]:
    """Index into `pv_bucket_names()` for a count of historical views."""
    return np.searchsorted(np.asarray(PV_EDGES), np.asarray(pv), side="right") - 1
