"""Every day: which items are taken together, from the events of the day before."""

from airflow.sdk import chain

from dags.policy import DAYS, PAIRS, announce, check, command, pipeline, watermark

DOC = """
### What it does
Waits until the lake holds the whole day, checks its events, writes their co-click pairs, and starts `nightly_sids`.

Runs at 00:10 UTC for the day that has ended; by hand with `{"as_of": "2026-11-22"}` for the day before that.

### When it fails
- `watermark` keeps trying for six hours: a partition of `events` is silent, or the lake consumer is behind.
  `gatesid status` shows the lag; `python -m streaming status` shows it by partition.
- `check_events`: a producer broke the contract. The log names the expectation and sample rows; nothing downstream was started.
- `co_click`: memory; one user with very many clicks is cut by the job's own cap.
"""

with pipeline("co_click_mining", DOC, schedule="10 0 * * *") as dag:
    chain(watermark(), check("events"), command("co_click", "spark_jobs.co_click", *DAYS), announce(PAIRS))
