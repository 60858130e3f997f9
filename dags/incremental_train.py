"""When SIDs are fresh: train both rankers on the new day, compare them, let the better one answer."""

from airflow.sdk import chain

from dags.policy import AS_OF, DAYS, EVALUATED_DAYS, SIDS, check, command, evaluate, pipeline, result, training_rows

DOC = """
### What it does
Brings indices, maturity and histories to the day, builds its training rows and checks them, trains Base and GateSID onward,
each from its last checkpoint, evaluates them on the last days, exports the better one and promotes it: the model server swaps
without a failed request. The first night after a switch of codebook GateSID goes on from the candidate of `rqvae_retrain`.
After a codebook was published by hand its SID tables start from what it had learnt of the old codes; the log of `train_gatesid`
says of how many.

Starts with the SIDs of `nightly_sids` and takes its days from them; by hand with `{"as_of": "2026-11-22"}`. Days must follow
each other: a ranker goes on from the checkpoint of the day before `from`.

### When it fails
- `check_training_frame`: labels or features out of range; no model was trained on them, the model of yesterday serves on.
- `train_base`, `train_gatesid`: the checkpoint of the day before is absent (run that day first), or of other settings.
- `export_best`: the exported scores differ from those in memory; nothing was promoted.
- `promote`: the model's codebook is not the live one, or its golden requests score differently; the old version serves on.
"""

CODEBOOK = ("--codebook", result("codebook"))

with pipeline("incremental_train", DOC, schedule=[SIDS], params={"days": EVALUATED_DAYS}) as dag:
    checked = check("events")
    codebook = command("codebook", "features.live_codebook")
    rows = training_rows()
    check_frame = check("training_frame")
    train_base = command("train_base", "model.train_ranker", "--ranker", "base", *DAYS)
    train_gatesid = command("train_gatesid", "model.train_ranker", "--ranker", "gatesid", *DAYS, *CODEBOOK,
                            "--warm-start")
    export = command("export_best", "serving.export", "--ranker", "best", "--as-of", AS_OF)
    promote = command("promote", "serving.promote", "--ranker", result("export_best", -2), "--version", result("export_best"))

    checked >> rows >> check_frame
    [check_frame, codebook] >> train_gatesid
    check_frame >> train_base
    chain([train_base, train_gatesid], evaluate(), export, promote)
