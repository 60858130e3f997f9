"""Feast's DuckDB store with DuckDB's own ASOF join.

Feast's join pairs every row of an item with every later question about it and then keeps the newest, so its work grows with
the product of the two: an item with 500 k rows and 2 k questions took 7 minutes and 20 GB. The ASOF join sorts once; it
keeps questions that share item and time (ADR-0003). Feast finds this class by its name, in its configuration.
"""

from typing import Any, Literal

import duckdb
import ibis
import pandas as pd
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.ibis import IbisRetrievalJob
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

MEMORY_LIMIT = "2GB"


class AsofOfflineStoreConfig(DuckDBOfflineStoreConfig):
    type: Literal["features.asof_store.AsofOfflineStore"] = "features.asof_store.AsofOfflineStore"


class AsofOfflineStore(DuckDBOfflineStore):
    @staticmethod
    def get_historical_features(
        config: Any, feature_views: list[Any], feature_refs: list[str], entity_df: Any, registry: Any, project: str,
        full_feature_names: bool = False, filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Each view's newest row at or before each question's time.

        Raises ValueError: a view has a ttl, a created timestamp or a field mapping, or the questions are not a data frame.
        This project's views have none of them, and to ignore one in silence would be a leak.
        """
        if not isinstance(entity_df, pd.DataFrame) or full_feature_names or filter_by_created_timestamp:
            raise ValueError("the ASOF store answers data frames, with plain feature names and without created timestamps")
        moment = infer_event_timestamp_from_entity_df(dict(zip(entity_df.columns, entity_df.dtypes, strict=True)))
        with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("questions", entity_df)
            answer = connection.sql(asof_query(feature_views, feature_refs, moment)).to_arrow_table()
        keys = [column for column in entity_df.columns if column != moment]
        return IbisRetrievalJob(
            ibis.memtable(answer), [], full_feature_names, data_source_writer=None, staging_location=None,
            staging_location_endpoint_override=None, repo_path=str(config.repo_path),
            metadata=RetrievalMetadata(feature_refs, keys, entity_df[moment].min(), entity_df[moment].max()))


def asof_query(feature_views: list[Any], feature_refs: list[str], moment: str) -> str:
    """SQL over the registered `questions`: one ASOF join for each view."""
    columns, joins = "", ""
    for number, view in enumerate(feature_views):
        source, rows = view.batch_source, f"view_{number}"
        if view.ttl or source.created_timestamp_column or source.field_mapping:
            raise ValueError(f"view {view.name} has a ttl, a created timestamp or a field mapping: the ASOF store applies none")
        prefix = f"{view.projection.name_to_use()}:"
        columns += "".join(f', {rows}."{ref.removeprefix(prefix)}"' for ref in feature_refs if ref.startswith(prefix))
        keys = view.projection.join_key_map or {entity.name: entity.name for entity in view.entity_columns}
        path = source.path.replace("'", "''")
        joins += f" ASOF LEFT JOIN read_parquet('{path}', hive_partitioning = false) {rows} ON "
        joins += "".join(f'questions."{asked}" = {rows}."{key}" AND ' for key, asked in keys.items())
        joins += f'questions."{moment}" >= {rows}."{source.timestamp_field}"'
    return f"SELECT questions.*{columns} FROM questions{joins}"
