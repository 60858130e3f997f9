"""Every day, once maturity is rebuilt and SIDs are given: was every request served what the lake says?"""

from airflow.sdk import chain

from dags.policy import DAYS, MATURITY, SIDS, command, pipeline

DOC = """
### What it does
Compares every value served on the day with the offline row of the tick, SID version or history that it names, and writes
`audit.txt` and `audit.json` under `<home>/reports/audit-<as_of>`: per feature the share equal, the largest difference and the
causes, and how fresh the rows were. First the day's many small files become few.

Starts when `rebuild_maturity` and `nightly_sids` have both made the day; by hand with `{"as_of": "2026-11-22"}`.

### When it fails
- `audit`: a target is missed. The log ends with features, causes and sample rows. *value*: two definitions of one feature; the
  note says which window the counts are of. *late*: the stream fell behind, or an older row under a newer name. *default*: the
  store had no row where the lake has one. *version*: a row that is in no table, as of a codebook that was never published.
  Training rows of that day are what was served; do not train on them before it is understood.
- `audit` finds no request, or `compact_served` no table: the ranking API was down, or `[serving] logged_share` is 0.
"""

with pipeline("audit_features", DOC, schedule=[MATURITY, SIDS]) as dag:
    chain(command("compact_served", "features.compact_served", *DAYS), command("audit", "features.audit", *DAYS))
