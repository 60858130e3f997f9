"""The score when no model answers: the smoothed click-through rate of the last seven days."""

import numpy as np
from numpy.typing import NDArray

# A candidate starts as if it had been shown so often with this rate: a new item ranks in the middle, and one lucky click
# does not lift it above an item with a record.
PRIOR_IMPRESSIONS = 100
PRIOR_CTR = 0.05


def smoothed_ctr(exposure_7d: NDArray[np.int64], click_7d: NDArray[np.int64]) -> NDArray[np.float64]:
    """(clicks + 100 × 0.05) / (impressions + 100), at most 1; int64[C] each."""
    rate = (click_7d + PRIOR_IMPRESSIONS * PRIOR_CTR) / (exposure_7d + PRIOR_IMPRESSIONS)
    return np.clip(rate, 0, 1)
