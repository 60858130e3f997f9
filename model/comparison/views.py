"""Total historical views of an item, which SaviorRec's PV buckets are of (R24), as far as the training frame can tell.

The frame has seven-day counts alone, so views are its own rows: the item's impressions on the frame's days before the row's
day, divided by the share of user-days that the frame holds. What was shown before the frame's first day is not in them.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.names import DS, ITEM_ID, TABLE_TRAINING_FRAME
from model.comparison.plan import Run
from model.dataset import PinnedTable, days_present


def views_counted(run: Run) -> dict[str, Any]:
    """From which day on, and the share of user-days: what the frame's job recorded, 1 where there is no record of it."""
    records = sorted((run.home.home / "runs" / "training_frame").glob("*.json"))
    share = json.loads(records[-1].read_text())["user_day_share"] if records else 1.0
    return {"from": days_present(frame_of(run))[0], "user_day_share": share}


def views_before(run: Run, rows: pa.Table) -> np.ndarray:
    """float64[n] for rows with item_id and ds."""
    items, days, counts = counted(run)
    before = np.cumsum(counts, axis=0) - counts
    day = pc.index_in(rows.column(DS), value_set=days).to_numpy()
    item = pc.index_in(rows.column(ITEM_ID), value_set=items).to_numpy()
    return before[day, item] / views_counted(run)["user_day_share"]


def counted(run: Run) -> tuple[pa.Array, pa.Array, np.ndarray]:
    """(items, days, rows of the frame as int64[days, items])."""
    rows = frame_of(run).read((ITEM_ID, DS))
    items, days = pc.unique(rows.column(ITEM_ID)), pa.array(sorted(pc.unique(rows.column(DS)).to_pylist()))
    place = pc.index_in(rows.column(DS), value_set=days).to_numpy().astype(np.int64) * len(items) + pc.index_in(
        rows.column(ITEM_ID), value_set=items).to_numpy()
    return items, days, np.bincount(place, minlength=len(days) * len(items)).reshape(len(days), len(items))


def frame_of(run: Run) -> PinnedTable:
    return PinnedTable.at(run.home.table(TABLE_TRAINING_FRAME), run.plan.versions[TABLE_TRAINING_FRAME])
