"""The served rows of some days and the lake's tables beside them, each at the version it has when the audit starts."""

from datetime import date
from typing import TYPE_CHECKING, Any

from features.clock import days_between
from features.errors import DataError
from features.layout import Layout, table_version
from features.names import TABLE_EVENTS, TABLE_ITEMS, TABLE_MATURITY_REBUILT, TABLE_SEMANTIC_IDS, TABLE_SERVED_FEATURES
from features.snapshots import table_files

if TYPE_CHECKING:
    import duckdb

TABLES = (TABLE_SERVED_FEATURES, TABLE_MATURITY_REBUILT, TABLE_SEMANTIC_IDS, TABLE_ITEMS, TABLE_EVENTS)
MEMORY_LIMIT = "3GB"

SERVED = """
CREATE TEMP TABLE served AS
SELECT row_number() OVER () AS request, request_id, user_id, epoch_ms(served_at) AS served_ms, epoch_ms("at") AS at_ms,
       codebook_version, history_version_ms, taken_item_ids, taken_at_ms, history_item_ids, history_codes,
       item_ids, item_codes, online_days, exposure_7d, click_7d, maturity_tick_ms, repeat_count, repeat_age_days, defaults
FROM served_features WHERE ds IN (SELECT unnest($days))
"""
CANDIDATES = """
CREATE TEMP TABLE candidates AS
SELECT request, request_id, user_id, served_ms, at_ms, codebook_version, unnest(item_ids) AS item_id,
       unnest(item_codes) AS codes, unnest(online_days) AS online_days, unnest(exposure_7d) AS exposure_7d,
       unnest(click_7d) AS click_7d, unnest(maturity_tick_ms) AS tick_ms, unnest(defaults) AS defaults
FROM served
"""


def open_tables(layout: Layout, first: date, as_of: date) -> "tuple[duckdb.DuckDBPyConnection, dict[str, int]]":
    """A DuckDB with a view for each of TABLES and the tables `served` (one row a request) and `candidates` (one an item).

    Returns: it, and the version of each table.
    Raises ArtefactError: a table is absent. DataError: no request of these days was logged, so there is nothing to judge.
    """
    import duckdb

    versions = {name: table_version(layout.table(name)) for name in TABLES}
    scratch = layout.home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(scratch)})
    connection.execute("SET TimeZone = 'UTC'")
    for name, version in versions.items():
        files = ", ".join("'" + str(file).replace("'", "''") + "'" for file in table_files(layout.table(name), version))
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM "
                           f"read_parquet([{files}], hive_partitioning = true, hive_types_autocast = false)")
    connection.execute(SERVED, {"days": days_between(first, as_of)})
    connection.execute(CANDIDATES)
    if not one_row(connection, "SELECT count(*) FROM served")[0]:
        raise DataError(f"no request of {first} to {as_of} (excluded) is in `{TABLE_SERVED_FEATURES}`: is the ranking API up, "
                        "and is [serving] logged_share above 0?")
    return connection, versions


def one_row(connection: "duckdb.DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    """The answer of an aggregate, which always has one row."""
    return connection.execute(query).fetchall()[0]


def all_rows(connection: "duckdb.DuckDBPyConnection", query: str) -> Any:
    """The answer as an Arrow table."""
    return connection.sql(query).to_arrow_table()
