"""Where rows come from: pushed frames online, snapshots of the lake's tables offline.

A path here names the table's snapshots; a reader pins one version of them (`retrieval.historical_maturity`). It is never
the table's own folder, which also holds files that later versions removed.
"""

from feast import FileSource, PushSource
from feast.data_format import ParquetFormat

from features.names import (
    TABLE_ITEMS,
    TABLE_MATURITY_REBUILT,
    TABLE_SEMANTIC_IDS,
    TABLE_USER_HISTORY,
    TICK,
    VIEW_MATURITY,
    VIEW_PROFILE,
    VIEW_SEMANTIC_ID,
    VIEW_SEMANTIC_ID_B,
    VIEW_USER_HISTORY,
)


def snapshot(table: str, timestamp_field: str) -> FileSource:
    return FileSource(name=f"{table}_snapshot", path=f"lake_snapshots/{table}/**/*.parquet", file_format=ParquetFormat(),
                      timestamp_field=timestamp_field)


def pushed(view: str, batch_source: FileSource) -> PushSource:
    return PushSource(name=f"{view}_push", batch_source=batch_source)


maturity = pushed(VIEW_MATURITY, snapshot(TABLE_MATURITY_REBUILT, TICK))
semantic_ids = snapshot(TABLE_SEMANTIC_IDS, "assigned_at")
semantic_id, semantic_id_b = pushed(VIEW_SEMANTIC_ID, semantic_ids), pushed(VIEW_SEMANTIC_ID_B, semantic_ids)
profile = pushed(VIEW_PROFILE, snapshot(TABLE_ITEMS, "ingest_time"))
user_history = pushed(VIEW_USER_HISTORY, snapshot(TABLE_USER_HISTORY, "version"))
