"""How far two codebooks' SIDs are apart, from the SIDs that were published (the table `semantic_ids`)."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from numpy.typing import NDArray

from features.errors import ArtefactError
from features.layout import Layout
from features.names import CODEBOOK_VERSION, CODES, ITEM_ID, TABLE_SEMANTIC_IDS
from model.codebook_matching import churn
from model.impressions import impressions_7d


def codebook_diff(layout: Layout, old: str, new: str, as_of: date | None = None) -> dict[str, Any]:
    """Of the items that have a SID in both: the share whose code differs, level by level and anywhere; and how many items
    only one of them knows. Where one has more levels, the first ones are compared. With `as_of`, the same shares of the
    impressions of the seven days before it (None: nobody counted them).

    Raises ArtefactError: one of the two has no SIDs.
    """
    old_items, old_codes = published_sids(layout, old)
    new_items, new_codes = published_sids(layout, new)
    place = pc.index_in(new_items, value_set=old_items)
    both = pc.is_valid(place).to_numpy(zero_copy_only=False)
    levels = min(old_codes.shape[1], new_codes.shape[1])
    before = old_codes[place.drop_null().to_numpy(zero_copy_only=False), :levels]
    after = new_codes[both, :levels]
    items = len(after)
    shown = impressions_7d(layout, new_items.filter(pa.array(both)).to_pylist(), as_of) if items and as_of else None
    return {
        "old": old, "new": new, "items": items, "only_old": len(old_items) - items, "only_new": len(new_items) - items,
        "changed": churn(before, after) if items else None,
        "changed_by_impressions": churn(before, after, shown) if shown is not None else None,
    }


def published_sids(layout: Layout, version: str) -> tuple[pa.Array, NDArray[np.int32]]:
    """(item ids, int32[n, N]) of one codebook version; of an item published twice, what was published first.

    Raises ArtefactError: there are none, or of several lengths.
    """
    path = layout.table(TABLE_SEMANTIC_IDS)
    rows = None
    if DeltaTable.is_deltatable(str(path)):
        rows = DeltaTable(str(path)).to_pyarrow_table(
            partitions=[(CODEBOOK_VERSION, "=", version)], columns=[ITEM_ID, CODES, "assigned_at"])
    if rows is None or not rows.num_rows:
        raise ArtefactError(f"no semantic ids of codebook {version}: run spark_jobs.sid_assignment --codebook {version}")
    rows = rows.sort_by("assigned_at")
    lengths = pc.unique(pc.list_value_length(rows.column(CODES))).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise ArtefactError(f"the SIDs of codebook {version} have {lengths} codes, expected one length: assign them again")
    codes = pc.list_flatten(rows.column(CODES)).to_numpy().reshape(-1, lengths[0]).astype(np.int32)
    items = rows.column(ITEM_ID).combine_chunks()
    first = np.unique(pc.index_in(items, value_set=items).to_numpy())
    return items.take(pa.array(first)), codes[first]


def sid_counts(layout: Layout) -> dict[str, int]:
    """Published SIDs by codebook version, from the table's log alone."""
    path = layout.table(TABLE_SEMANTIC_IDS)
    if not DeltaTable.is_deltatable(str(path)):
        return {}
    files = pa.table(DeltaTable(str(path)).get_add_actions(flatten=True))
    counted = files.group_by(f"partition.{CODEBOOK_VERSION}").aggregate([("num_records", "sum")])
    return dict(zip(counted.column(f"partition.{CODEBOOK_VERSION}").to_pylist(),
                    counted.column("num_records_sum").to_pylist(), strict=True))
