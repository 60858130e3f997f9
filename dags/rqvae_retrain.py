"""Every week: the live encoder and codebook go on with all pairs, published beside the live ones if they are good enough."""

from airflow.sdk import Param, chain

from dags.policy import AS_OF, check, command, pipeline, result

DOC = """
### What it does
Trains the encoder onward from the live codebook's on the pairs mined so far, lets the live codes follow its vectors, numbers
them after the live ones, and judges the codebook (codes used, entropy, collisions, reconstruction by age, co-click hits,
neighbours kept). A good one is published as a new version; the live one stays live until a model is trained on the new one.
`{"cold": true}` trains both anew: for a catalogue that has become another one. Nearly every item then changes its codes.

Runs on Mondays at 04:30 UTC; by hand with `{"as_of": "2026-11-22"}`.

### When it fails
- `codebook`: no codebook is live; run `bootstrap` first.
- `check_items`: the catalogue breaks the contract.
- `train_encoder`: the loss is not finite, or there are no pairs (`co_click_mining` has not run).
- `train_rqvae`: the codebook was judged too poor and not published; the log names the figure and its limit. The live
  codebook is untouched. Where neighbours were lost after a cold training, that is what was asked for: run the command of the
  log by hand with `--limit min_neighbourhood_overlap=0`.
"""

LIVE = result("codebook")
GO_ON = f"{{% if not params.cold %}}--warm-start {LIVE}{{% endif %}}"

with pipeline("rqvae_retrain", DOC, schedule="30 4 * * 1", params={
    "cold": Param(False, type="boolean", description="train encoder and codebook anew, from nothing"),
}) as dag:
    codebook = command("codebook", "features.live_codebook")
    train_encoder = command("train_encoder", "model.train_encoder", "--as-of", AS_OF, GO_ON)
    train_rqvae = command("train_rqvae", "model.train_rqvae", "--as-of", AS_OF, "--encoder", result("train_encoder"),
                          "--match-to", LIVE, GO_ON)
    chain([codebook, check("items")], train_encoder, train_rqvae)
