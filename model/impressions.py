"""How often items were shown in the week before a day, from the maturity that Spark rebuilt: what a change of codes weighs."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow.dataset as ds
from deltalake import DeltaTable
from numpy.typing import NDArray

from features.layout import Layout
from features.names import DS, EXPOSURE_7D, ITEM_ID, TABLE_MATURITY_REBUILT, TICK
from features.windows import WINDOW_HOURS


def impressions_7d(layout: Layout, item_ids: Sequence[str], as_of: date) -> NDArray[np.int64] | None:
    """int64[items]: impressions of the seven days before `as_of`; None where nobody counted, or nothing was shown."""
    path = layout.table(TABLE_MATURITY_REBUILT)
    if not DeltaTable.is_deltatable(str(path)):
        return None
    # A count that is not 0 changed within its window, so no older row matters.
    oldest = as_of - timedelta(days=1 + WINDOW_HOURS // 24)
    days = (ds.field(DS) >= oldest.isoformat()) & (ds.field(DS) < as_of.isoformat())
    rows = DeltaTable(str(path)).to_pyarrow_dataset().to_table(columns=[ITEM_ID, TICK, EXPOSURE_7D], filter=days)
    newest = rows.to_pandas().sort_values(TICK, kind="stable").drop_duplicates(ITEM_ID, keep="last")
    shown = newest.set_index(ITEM_ID)[EXPOSURE_7D].reindex(item_ids, fill_value=0).to_numpy(np.int64)
    return shown if shown.any() else None
