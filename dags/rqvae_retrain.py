"""Every week: a new encoder and codebook from all pairs, published beside the live ones if they are good enough."""

from airflow.sdk import chain

from dags.policy import AS_OF, check, command, pipeline, result

DOC = """
### What it does
Trains the encoder on the pairs mined so far and the RQ-VAE on its vectors, and judges the codebook (codes used, entropy,
collisions, reconstruction, co-click hits). A good one is published as a new version; the live one stays live until a model is
trained on the new one.

Runs on Mondays at 04:30 UTC; by hand with `{"as_of": "2026-11-22"}`.

### When it fails
- `check_items`: the catalogue breaks the contract.
- `train_encoder`: the loss is not finite, or there are no pairs (`co_click_mining` has not run).
- `train_rqvae`: the codebook was judged too poor and not published; `health.json` in the log's folder names the rule. The live
  codebook is untouched.
"""

with pipeline("rqvae_retrain", DOC, schedule="30 4 * * 1") as dag:
    train_encoder = command("train_encoder", "model.train_encoder", "--as-of", AS_OF)
    train_rqvae = command("train_rqvae", "model.train_rqvae", "--as-of", AS_OF, "--encoder", result("train_encoder"))
    chain(check("items"), train_encoder, train_rqvae)
