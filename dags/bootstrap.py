"""The whole history in one run: from events in the lake to two trained rankers and a table that compares them."""

from airflow.sdk import chain

from dags.policy import AS_OF, DAYS, EVALUATED_DAYS, check, command, evaluate, pipeline, result, training_rows, version

DOC = """
### What it does
Takes every day of `from` … `as_of` (excluded) at once: indices, maturity, histories, co-click pairs, the first codebook, SIDs,
Feast's online store, training rows, Base and GateSID trained day by day, their evaluation.

Trigger with `{"from": "2026-08-24", "as_of": "2026-11-20"}`. It can be run again: every step leaves the same result.

### When it fails
- `check_events`, `check_items`: the data break the contract. The log names the expectation and sample rows; mend the source,
  prepare and load again. Nothing was published.
- `train_rqvae`: the codebook was judged too poor to publish; its `health.json` says why (codes used, collisions).
- `check_semantic_ids`: SIDs miss items or repeat too often; Feast still holds what it held.
- `materialize`: Valkey does not answer; `gatesid status`.
- `check_training_frame`: labels or features out of range; no model was trained on them.
- Exit code 3 is the machine (Java, memory, a server that is away): clear the task once it is mended.
"""

CODEBOOK = ("--codebook", result("train_rqvae"))

with pipeline("bootstrap", DOC, params={
    "codebook": version("an existing codebook to use; default: train one"),
    "days": EVALUATED_DAYS,
}) as dag:
    checked = [check("events"), check("items")]
    co_click = command("co_click", "spark_jobs.co_click", *DAYS, priority_weight=100)  # the longest way begins here
    rows = training_rows()
    train_encoder = command("train_encoder", "model.train_encoder", "--as-of", AS_OF, unless="codebook")
    train_rqvae = command("train_rqvae", "model.train_rqvae", "--as-of", AS_OF, "--encoder", result("train_encoder"),
                          "--publish", unless="codebook")
    assign_sids = command("sid_assignment", "spark_jobs.sid_assignment", "--as-of", AS_OF, *CODEBOOK)
    check_sids = check("semantic_ids", *CODEBOOK)
    materialize = command("materialize", "features.materialize", "--as-of", AS_OF, *CODEBOOK)
    check_frame = check("training_frame")
    train_base = command("train_base", "model.train_ranker", "--ranker", "base", *DAYS)
    train_gatesid = command("train_gatesid", "model.train_ranker", "--ranker", "gatesid", *DAYS, *CODEBOOK)

    # co_click writes only days that its next run replaces, so it need not wait for the checks.
    for gate in checked:
        gate >> [rows, train_encoder]
    chain(co_click, train_encoder, train_rqvae, assign_sids, check_sids, train_gatesid)
    [check_sids, rows] >> materialize
    rows >> check_frame >> [train_base, train_gatesid] >> evaluate()
