"""Every week: encoder and codebook go on with all pairs, GateSID with the codebook, and all are served from one moment on."""

from airflow.sdk import Param, chain

from dags.policy import AS_OF, DAYS, check, command, pipeline, result

DOC = """
### What it does
Trains the encoder onward from the live codebook's on the pairs mined so far, lets the live codes follow its vectors, numbers
them after the live ones, and judges the codebook (codes used, entropy, collisions, reconstruction by age, co-click hits,
neighbours kept). With a good one it goes on beside what serves: SIDs for all items, last night's GateSID as a candidate that
learns with them, its export. The last task, `switch`, checks all of it and serves it together: codebook, SIDs, profiles, model.
Until then nothing that is served has changed. The night after, GateSID goes on from the candidate.

`{"cold": true}` trains encoder and codebook anew: for a catalogue that has become another one. Nearly every item then changes
its codes.

Runs on Mondays at 04:30 UTC, after the night's `incremental_train`; by hand with `{"as_of": "2026-11-22"}`.

### When it fails
The old codebook, SIDs and model serve on, whatever failed. It can be cleared and run again at any time.

- `codebook`: no codebook is live; run `bootstrap` first.
- `check_items`: the catalogue breaks the contract.
- `train_encoder`: the loss is not finite, or there are no pairs (`co_click_mining` has not run).
- `train_rqvae`: the codebook was judged too poor; the log names the figure and its limit. Where neighbours were lost after a
  cold training, that is what was asked for: run the command of the log by hand with `--limit min_neighbourhood_overlap=0`.
- `sid_assignment`, `check_semantic_ids`: as in `nightly_sids`.
- `train_candidate`: last night's checkpoint or training rows are absent; run `incremental_train` for that day.
- `export_best`: as in `incremental_train`.
- `switch`: the log lists every check that failed. `ranking`: the candidate ranks worse than GateSID did on the same days; look
  at how many codes its warm start had partners for. Anything else: clear from the task that the message names.
"""

LIVE = result("codebook")
GO_ON = f"{{% if not params.cold %}}--warm-start {LIVE}{{% endif %}}"
NEW = ("--codebook", result("train_rqvae"))

with pipeline("rqvae_retrain", DOC, schedule="30 4 * * 1", params={
    "cold": Param(False, type="boolean", description="train encoder and codebook anew, from nothing"),
}) as dag:
    codebook = command("codebook", "features.live_codebook")
    train_encoder = command("train_encoder", "model.train_encoder", "--as-of", AS_OF, GO_ON)
    train_rqvae = command("train_rqvae", "model.train_rqvae", "--as-of", AS_OF, "--encoder", result("train_encoder"),
                          "--match-to", LIVE, GO_ON)
    assign_sids = command("sid_assignment", "spark_jobs.sid_assignment", "--as-of", AS_OF, *NEW)
    train_candidate = command("train_candidate", "model.train_ranker", "--ranker", "gatesid", *DAYS, *NEW, "--warm-start",
                              "--candidate")
    export = command("export_best", "serving.export", "--ranker", "best", "--as-of", AS_OF,
                     "--candidate", result("train_rqvae"))
    switch = command("switch", "serving.switch", "--as-of", AS_OF, *NEW, "--ranker", result("export_best", -2),
                     "--version", result("export_best"), "--instead-of", LIVE)
    chain([codebook, check("items")], train_encoder, train_rqvae, assign_sids, check("semantic_ids", *NEW), train_candidate,
          export, switch)
