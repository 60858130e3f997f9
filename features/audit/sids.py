"""Served SIDs against `semantic_ids`: of the model's codebook, in which a SID never moves. The difference counts levels.

A SID counts as readable from the first request on that was served it, or, where none was, NIGHT_MS after it was assigned: the
table names the day of a nightly run, whose SIDs reach the store some hours later.
"""

from typing import TYPE_CHECKING

from features.audit.verdict import DEFAULT, VALUE, VERSION, Verdict, judged
from features.windows import HOUR_MS

if TYPE_CHECKING:
    import duckdb

NIGHT_MS = 6 * HOUR_MS

SERVED = """
CREATE TEMP TABLE served_sids AS
SELECT 'item_codes' AS feature, request_id, served_ms, codebook_version, item_id, codes,
       contains(defaults, 'item_codes:other_codebook') AS other_codebook FROM candidates WHERE codebook_version IS NOT NULL
UNION ALL
SELECT 'history_codes', request_id, served_ms, codebook_version, unnest(history_item_ids), unnest(history_codes), false
FROM served WHERE codebook_version IS NOT NULL
"""
JUDGED = f"""
CREATE TEMP TABLE judged_sids AS
WITH assigned AS (
    SELECT item_id, codebook_version, any_value(codes) AS codes, epoch_ms(min(assigned_at)) + {NIGHT_MS} AS readable_ms
    FROM semantic_ids WHERE NOT list_contains(codes, -1) GROUP BY item_id, codebook_version),
seen AS (
    SELECT item_id, codebook_version, min(served_ms) AS first_ms FROM served_sids WHERE NOT list_contains(codes, -1)
    GROUP BY item_id, codebook_version),
joined AS (
    SELECT served_sids.*, item_id AS key, served_sids.codes AS served, assigned.codes AS offline,
           list_contains(served_sids.codes, -1) AS missing, least(first_ms, readable_ms) AS readable_ms
    FROM served_sids LEFT JOIN assigned USING (item_id, codebook_version) LEFT JOIN seen USING (item_id, codebook_version))
SELECT feature, request_id, key, served_ms, served, offline,
       list_sum(list_transform(list_zip(served, offline), lambda pair: CAST(pair[1] <> pair[2] AS INT))) AS difference,
       CASE WHEN missing AND other_codebook AND offline IS NOT NULL THEN '{VERSION}'
            WHEN missing THEN CASE WHEN offline IS NOT NULL AND served_ms >= readable_ms THEN '{DEFAULT}' END
            WHEN offline IS NULL THEN '{VERSION}'
            WHEN served = offline THEN NULL
            WHEN EXISTS (SELECT 1 FROM semantic_ids other WHERE other.item_id = joined.item_id AND other.codes = joined.codes)
            THEN '{VERSION}'
            ELSE '{VALUE}' END AS cause
FROM joined
"""


def judge_sids(connection: "duckdb.DuckDBPyConnection") -> list[Verdict]:
    connection.execute(SERVED)
    connection.execute(JUDGED)
    return [judged(connection, feature, f"(SELECT * FROM judged_sids WHERE feature = '{feature}')")
            for feature in ("item_codes", "history_codes")]
