"""How long the item embeddings of new items are against those of all (GateSID Fig. 1a), at the end of a cell."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import day_start_ms
from features.maturity import new_under_20_days, online_days
from features.names import ITEM_ID, SLICE_ALL, SLICE_NEW, TABLE_ITEM_INDEX, TABLE_ITEMS
from model.comparison.plan import Run
from model.dataset import PinnedTable
from model.item_catalogue import open_table

# As model.checkpoints names them, which would import TensorFlow here, where results are only read.
WEIGHTS, ITEM_TABLE = "weights.npz", "items/table:0"


def embedding_norms(run: Run, checkpoint: Path) -> dict[str, Any] | None:
    """{slice: {"items", "mean", "zero_share"}} of all items of the index and of the new ones at the run's end: mean L2
    norm, and the share whose vector is zero, for training never met them. None: no catalogue, or a ranker without item ids."""
    if not run.home.table(TABLE_ITEMS).exists():
        return None
    with np.load(checkpoint / WEIGHTS) as weights:
        names = [name for name in weights.files if name.endswith(ITEM_TABLE)]
        if not names:
            return None
        norms = np.linalg.norm(weights[names[0]], axis=1)
    pinned = PinnedTable.at(run.home.table(TABLE_ITEM_INDEX), run.plan.versions[TABLE_ITEM_INDEX])
    index = pinned.read((ITEM_ID, "row"))
    rows = index.column("row").to_numpy()
    new = pc.is_in(index.column(ITEM_ID), value_set=new_items(run)).to_numpy(zero_copy_only=False)
    return {SLICE_ALL: described(norms[rows]), SLICE_NEW: described(norms[rows[new]])}


def new_items(run: Run) -> pa.Array:
    """The ids of items that are online at the run's end, and new by GateSID's rule."""
    table = open_table(run.home.table(TABLE_ITEMS), run.plan.versions.get(TABLE_ITEMS))
    items = table.to_pyarrow_table(columns=[ITEM_ID, "published_at"])
    published_ms = items.column("published_at").cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    days = online_days(np.full(len(items), day_start_ms(date.fromisoformat(run.plan.as_of))), published_ms)
    return pc.unique(items.column(ITEM_ID).filter(pa.array((days >= 0) & new_under_20_days(days))))


def described(norms: np.ndarray) -> dict[str, Any]:
    known = len(norms) > 0
    return {"items": len(norms), "mean": float(norms.mean()) if known else None,
            "zero_share": float((norms == 0).mean()) if known else None}
