"""How long the item embeddings of new items are against those of all (GateSID Fig. 1a), at the end of a cell."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from features.clock import day_start_ms, from_ms
from features.names import ITEM_ID, SLICE_ALL, SLICE_NEW, TABLE_ITEM_INDEX, TABLE_ITEMS
from model.comparison.plan import Run
from model.dataset import PinnedTable
from model.item_catalogue import open_table

WEIGHTS, ITEM_TABLE = "weights.npz", "items/table:0"
NEW_DAYS = 20


def embedding_norms(run: Run, checkpoint: Path) -> dict[str, Any] | None:
    """{slice: {"items", "mean", "zero_share"}} of all items of the index and of those published in the last 20 days: mean L2
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
    new = pc.is_in(index.column(ITEM_ID), value_set=published_since(run)).to_numpy(zero_copy_only=False)
    return {SLICE_ALL: described(norms[rows]), SLICE_NEW: described(norms[rows[new]])}


def published_since(run: Run) -> Any:
    """The ids of items under 20 days online at the run's end."""
    end = date.fromisoformat(run.plan.as_of)
    first = from_ms(day_start_ms(end - timedelta(days=NEW_DAYS)))
    table = open_table(run.home.table(TABLE_ITEMS), run.plan.versions.get(TABLE_ITEMS))
    young = (ds.field("published_at") > first) & (ds.field("published_at") < from_ms(day_start_ms(end)))
    return pc.unique(table.to_pyarrow_dataset().to_table(columns=[ITEM_ID], filter=young).column(ITEM_ID))


def described(norms: np.ndarray) -> dict[str, Any]:
    known = len(norms) > 0
    return {"items": len(norms), "mean": float(norms.mean()) if known else None,
            "zero_share": float((norms == 0).mean()) if known else None}
