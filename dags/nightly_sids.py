"""When pairs are mined: a SID for every item that has none yet, in the live codebook."""

from airflow.sdk import chain

from dags.policy import AS_OF, PAIRS, SIDS, announce, check, command, pipeline, result

DOC = """
### What it does
Encodes the items that are new to `semantic_ids` with the live codebook, checks all SIDs, and pushes SIDs and profiles to Feast
(maturity and histories are the stream's there). Published SIDs never move. Then `incremental_train` starts.

Starts with the pairs of `co_click_mining` and takes its day from them; by hand with `{"as_of": "2026-11-22"}`.

### When it fails
- `codebook`: no codebook is live; run `bootstrap` first.
- `check_items`: the catalogue breaks the contract; the SIDs of yesterday stay in use.
- `check_semantic_ids`: too many items share a SID, or some have none; nothing was pushed. If the catalogue has changed a lot,
  run `rqvae_retrain`.
- `materialize`: Valkey does not answer; `gatesid status`. It can be cleared and run again at any time.
"""

CODEBOOK = ("--codebook", result("codebook"))

with pipeline("nightly_sids", DOC, schedule=[PAIRS]) as dag:
    codebook = command("codebook", "features.live_codebook")
    assign_sids = command("sid_assignment", "spark_jobs.sid_assignment", "--as-of", AS_OF, *CODEBOOK)
    materialize = command("materialize", "features.materialize", "--as-of", AS_OF, *CODEBOOK, "--only", "semantic_ids", "items")
    chain([codebook, check("items")], assign_sids, check("semantic_ids", *CODEBOOK), materialize, announce(SIDS))
