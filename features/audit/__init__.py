"""Is what was served what the lake says? Every logged value against the offline row of the very version that it names.

    python -m features.audit --as-of 2026-11-22

| file | compares |
|---|---|
| `tables.py` | nothing: the served rows and the lake's tables, each at one version, in one DuckDB |
| `maturity.py` | counts with the rebuilt row of the tick that was served |
| `sids.py` | SIDs of candidates and of histories with the table of the model's codebook |
| `profiles.py` | days online with the catalogue |
| `histories.py` | takes, the history made of them and the repeat features with the raw events |
| `explain.py` | counts that differ with those of other windows, to name what went wrong |
| `verdict.py`, `report.py` | shares, causes, freshness · a page for people, JSON for programs |
"""
