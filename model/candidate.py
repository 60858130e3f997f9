"""Does a ranker that goes on with another codebook rank as well as it would have with its own?

Both score the same days before they learn from them: the ranker in use every night, the candidate as it is trained
(`train_ranker --candidate`).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from features.errors import ArtefactError, DataError
from features.layout import Layout
from features.names import CLICKED, EVENT_ID
from model.metrics import auc
from model.predictions import read_days


@dataclass(frozen=True)
class Judged:
    """AUC of CTR over the rows of `days`, which both scored."""

    days: list[str]
    rows: int
    in_use: float
    candidate: float

    def __str__(self) -> str:
        return (f"AUC {self.candidate:.4f} with the new codebook, {self.in_use:.4f} with the one in use, over {self.rows:,} "
                f"rows of {len(self.days)} day(s) to {self.days[-1]}")


def judge(layout: Layout, codebook: str, ranker: str, seed: int) -> Judged:
    """Over every day that the candidate scored and the ranker in use did too.

    Raises ArtefactError: there is no such day, or not with the same rows. DataError: all rows have one label.
    """
    folders = layout.predictions(ranker, seed), layout.candidate(codebook).predictions(ranker, seed)
    days = sorted(set.intersection(*({file.stem for file in folder.glob("[0-9]*.parquet")} for folder in folders)))
    if not days:
        raise ArtefactError(f"no day was scored by both, {folders[0]} and {folders[1]}: train the candidate from a day that "
                            "the ranker in use has scored (`train_ranker --candidate --from D0`)")
    in_use, candidate = (read_days(folder, days, (EVENT_ID, CLICKED, "ctr")) for folder in folders)
    if not in_use.column(EVENT_ID).equals(candidate.column(EVENT_ID)):
        raise ArtefactError(f"the two scored other rows of {days[0]} to {days[-1]}: the training frame was written again "
                            "meanwhile, train the candidate again")
    labels = pc.cast(in_use.column(CLICKED), "int8").to_numpy()
    found = [auc(labels, table.column("ctr").to_numpy().astype(np.float64)) for table in (in_use, candidate)]
    if found[0] is None or found[1] is None:
        raise DataError(f"the rows of {days[0]} to {days[-1]} have one label only, which tells nothing: train the candidate "
                        "over more days (`train_ranker --candidate --from D0`)")
    return Judged(days, len(labels), *found)
