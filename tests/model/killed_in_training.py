"""Train a ranker over a run of days that is killed on each day at another moment (SIGKILL: no `finally` runs), and goes on.

    python killed_in_training.py HOME DAYS

HOME has the lake; its frame has DAYS days from 2026-01-01 on, one more than there are moments. Prints the moments.
"""

import os
import pkgutil
import signal
import sys
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

import model  # noqa: F401  (chooses the Keras version)
from features.artefacts import MANIFEST
from features.layout import Layout
from model import learner
from model.config import RankerConfig, TrainConfig
from model.train_ranker import Job, run

FIRST = date(2026, 1, 1)
learner.ROWS_A_CALL = 16  # so that a day takes several calls


def job(home, days):
    return Job(Layout(home), RankerConfig(ranker="gatesid", hidden=(8,), user_width=4), TrainConfig(batch_size=16), 1,
               FIRST, FIRST + timedelta(days=days), "cb-1", checkpoint_every=1)


def before(name, reached):
    """A patch of the function `name` that kills this process where `reached` holds of the call's arguments."""
    owner, attribute = pkgutil.resolve_name(name.rpartition(".")[0]), name.rpartition(".")[2]
    real = getattr(owner, attribute)

    def killing(*args, **kwargs):
        if reached(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    return patch.object(owner, attribute, killing)


def third_call(ds):
    batches = learner.batches

    def killing(day, codes, size, seed=None):
        for number, batch in enumerate(batches(day, codes, size, seed)):
            if seed is not None and (day.ds, number) == (ds, 2):
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    return patch.object(learner, "batches", killing)


MOMENTS = {  # by what `ds`, a day, and `after`, the name of its checkpoint, make of a moment
    "within a day": lambda ds, after: third_call(ds),
    "predictions half-written": lambda ds, after: before("model.predictions.os.replace", lambda _, path: path.stem == ds),
    "between predictions and learning": lambda ds, after: before(
        "model.train_ranker.Learner.learn", lambda _, day, *__: day.ds == ds),
    "between learning and checkpoint": lambda ds, after: before(
        "model.train_ranker.save", lambda *given: str(given[2]) == after),
    "weights written, slots not": lambda ds, after: before(
        "model.checkpoints.np.savez", lambda file: after in str(file) and file.name == "slots.npz"),
    "all written but the manifest": lambda ds, after: before(
        "features.artefacts.write_json", lambda file, _: after in str(file) and file.name == MANIFEST),
    "all written but the name": lambda ds, after: before("features.artefacts.os.rename", lambda _, path: path.name == after),
    "after the checkpoint": lambda ds, after: before("model.train_ranker.read_day", lambda _, day: day == after),
}


def ended(home, days, killer=None):
    """Train in a child process; what it ended with (-9: killed)."""
    child = os.fork()  # TensorFlow has run nothing yet, so nothing of it is lost
    if not child:
        try:
            if killer:
                killer.start()
            run(job(home, days), say=lambda line: None)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(home, days):
    for number, (moment, killer) in enumerate(MOMENTS.items()):
        ds, after = (str(FIRST + timedelta(days=number + more)) for more in (0, 1))
        got = ended(home, days, killer(ds, after))
        assert got == -signal.SIGKILL, f"{moment}, {ds}: the run ended with {got}, expected a kill"
        print(moment)
    got = ended(home, days)
    assert got == 0, f"the last run ended with {got}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
