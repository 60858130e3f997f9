"""Which rows an evaluation looks at: the papers' rules by name, and the buckets of its curves."""

import numpy as np
from numpy.typing import NDArray

from features.maturity import (
    new_under_20_days,
    popular_over_300_days,
    pv_bucket,
    pv_bucket_names,
    under_200_impressions_7d,
    warm_over_3_clicks_or_order_7d,
)
from features.names import SLICE_ALL, SLICE_LOW_EXPOSURE, SLICE_NEW, SLICE_POPULAR

EXPOSURE_EDGES = (0, 1, 10, 100)
# SMILE's rule for warm items without its other half, an order in 7 days: no input counts orders.
SLICE_WARM = "over_3_clicks_7d"
AGE_EDGES = (0, 7, 14, 20, 50, 100, 200, 300)


def evaluation_slices(online_days: NDArray, exposure_7d: NDArray, click_7d: NDArray, views: NDArray | None = None,
                      ) -> dict[str, NDArray[np.bool_]]:
    """bool[n] by slice name; slices overlap. `views`: of the item before the row's day, where that is known (SaviorRec's
    buckets)."""
    of_views = {} if views is None else {name: pv_bucket(views) == n for n, name in enumerate(pv_bucket_names())}
    return {
        SLICE_ALL: np.ones(len(online_days), bool),
        SLICE_NEW: new_under_20_days(online_days),
        SLICE_POPULAR: popular_over_300_days(online_days),
        **buckets("exposure_7d", exposure_7d, EXPOSURE_EDGES),
        SLICE_LOW_EXPOSURE: under_200_impressions_7d(exposure_7d),
        SLICE_WARM: warm_over_3_clicks_or_order_7d(click_7d, np.zeros_like(click_7d)),
        **of_views,
    }


def age_buckets(online_days: NDArray) -> dict[str, NDArray[np.bool_]]:
    """bool[n] by days online, disjoint; an item not yet online (-1) is in the youngest."""
    return buckets("online_days", np.maximum(online_days, 0), AGE_EDGES)


def exposure_buckets(exposure_7d: NDArray) -> dict[str, NDArray[np.bool_]]:
    return buckets("exposure_7d", exposure_7d, EXPOSURE_EDGES)


def buckets(name: str, values: NDArray, edges: tuple[int, ...]) -> dict[str, NDArray[np.bool_]]:
    """Half-open buckets [edge, next edge), the last one open: {"exposure_7d_10_99": bool[n], …}."""
    place = np.searchsorted(np.asarray(edges), values, side="right") - 1
    closed = zip(edges, edges[1:], strict=False)
    names = [f"{name}_{low}" if high == low + 1 else f"{name}_{low}_{high - 1}" for low, high in closed]
    return {label: place == n for n, label in enumerate([*names, f"{name}_{edges[-1]}_inf"])}
