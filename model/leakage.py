"""Guards against scores that know what they could not have known.

The order of days is held by Learner.predict. Here the frame itself is looked at: a value that was read after its impression,
and a single input that all but tells the label. Weaker leaks are for the point-in-time tests of the frame's writer.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.errors import DataError
from features.names import CLICKED, DS, ORDERED
from model.dataset import STATS, Arrays, Day, PinnedTable, read_day
from model.metrics import auc

TOLD_BY_ONE_INPUT = 0.95  # AUC, either way round; "bought before", the strongest honest input met so far, has .70
FEW_POSITIVES = 20


def refuse_leaks(frame: PinnedTable, days: list[str]) -> None:
    """Raises DataError with every leak found in these days of the training frame."""
    faults, told = [], []
    for ds in days:
        if late := read_too_late(frame, ds):
            faults.append(f"{late:,} rows of {ds} have a maturity_tick after their event_time")
        day = read_day(frame, ds)
        told.append({CLICKED: day.clicked, ORDERED: day.ordered} | single_inputs(day))
    columns = {name: np.concatenate([part[name] for part in told]) for name in told[0]}
    labels = {name: columns.pop(name) for name in (CLICKED, ORDERED)}
    faults += [f"{name} alone tells `{label}` with AUC {value:.3f}" for label, values in labels.items()
               for name, column in columns.items() if (value := strength(values, column)) > TOLD_BY_ONE_INPUT]
    if faults:
        raise DataError(f"training_frame version {frame.version} leaks: {'; '.join(faults)}. Inputs must be as known at "
                        "event_time: repair the job that writes them, then write those days again")


def read_too_late(frame: PinnedTable, ds: str) -> int:
    """Rows whose counts were published after the impression."""
    rows = frame.read(("event_time", "maturity_tick"), (DS, ds))
    late = pc.greater(rows.column("maturity_tick"), rows.column("event_time").cast(pa.timestamp("us", "UTC")))
    return pc.sum(pc.fill_null(late, False)).as_py() or 0


def single_inputs(day: Day) -> Arrays:
    """Inputs that have an order, float[n] each, and what a history that holds the present would show."""
    features = day.features
    taken = features["history_rows"] == features["item_row"][:, np.newaxis]
    return {name: features["item_stats"][:, n] for n, name in enumerate(STATS)} | {
        "repeat_count": features["repeat_count"], "repeat_age_days": features["repeat_age_days"],
        "candidate is the newest of history_rows": taken[:, 0].astype(np.float32),
        "candidate in history_rows": taken.any(axis=1).astype(np.float32)}


def strength(labels: NDArray[np.int8], values: NDArray) -> float:
    """AUC of the better direction; 0.5 where there are too few positives to say."""
    if labels.sum() < FEW_POSITIVES:
        return 0.5
    found = auc(labels, values)
    return 0.5 if found is None else max(found, 1 - found)
