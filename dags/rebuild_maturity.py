"""Every day: maturity rebuilt from raw events, and the stream's own rows compared with it."""

from airflow.sdk import chain

from dags.policy import DAYS, MATURITY, announce, command, pipeline, watermark

DOC = """
### What it does
Rebuilds every maturity row of the day from the lake's events and compares the rows that the stream published, row by row. The
rebuild is the truth: training reads it, a lost state store is seeded from it, and `audit_features` holds what was served to it.

Runs at 03:40 UTC for the day that has ended; by hand with `{"as_of": "2026-11-22"}`.

### When it fails
- `watermark`: as in `co_click_mining`.
- `item_stats`: memory, or two rebuilds of one day at once; clear it.
- `verify` says that the stream has not come as far as the day (exit code 3): nothing was compared; the maturity consumer is
  behind or down (`gatesid stream status`). Clear it when it has caught up.
- `verify` found rows that differ; its log lists them. One item: look for its events in the dead letters. One partition: its
  consumer lost or repeated events; stop it, `python -m streaming seed --as-of D --replace`, start it. Do not train on that day
  before it is understood.
"""

with pipeline("rebuild_maturity", DOC, schedule="40 3 * * *") as dag:
    chain(watermark(), command("item_stats", "spark_jobs.item_stats", *DAYS),
          [command("verify", "streaming", "verify", *DAYS), announce(MATURITY)])
