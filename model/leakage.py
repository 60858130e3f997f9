"""Guards against scores that know what they could not have known.

The order of days is held by Learner.predict. Here the frame itself is looked at. Exact: counts are those that were published
for the item at maturity_tick, which is not after the impression; repeats are takes that the history lists. So a count that
holds the impression's own day or click is found however little it tells. Not exact: a single input that all but tells the
label, as a history that holds the present does. Weaker leaks are for the point-in-time tests of the frame's writer.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.errors import DataError
from features.names import CLICK_7D, CLICKED, DS, EVENT_TIME, EXPOSURE_7D, ITEM_ID, ORDERED, TICK
from features.spec import FIRST_ROW, PADDING_ROW
from model.dataset import STATS, Arrays, Day, PinnedTable, read_day
from model.metrics import auc

TOLD_BY_ONE_INPUT = 0.95  # AUC, either way round; "bought before", the strongest honest input met so far, has .70
FEW_POSITIVES = 20
COUNTS = (EXPOSURE_7D, CLICK_7D)


def refuse_leaks(frame: PinnedTable, days: list[str], published: PinnedTable | None = None) -> None:
    """Raises DataError with every leak found in these days of the training frame. `published`: the maturity table, where there
    is one."""
    faults, told = [], []
    for ds in days:
        rows = frame.read((ITEM_ID, EVENT_TIME, "maturity_tick", *COUNTS), (DS, ds))
        for count, what in ((read_too_late(rows), "have a maturity_tick after their event_time"),
                            (never_published(rows), "have counts though nothing was published of their item"),
                            (two_counts(rows), "have other counts than a row of the same item and maturity_tick"),
                            (0 if published is None else counted_otherwise(rows, published, ds),
                             "have other counts than were published at their maturity_tick")):
            if count:
                faults.append(f"{count:,} rows of {ds} {what}")
        day = read_day(frame, ds)
        if count := unlisted_repeats(day):
            faults.append(f"{count:,} rows of {ds} have a repeat_count that their history_rows do not know of, or the reverse")
        told.append({CLICKED: day.clicked, ORDERED: day.ordered} | single_inputs(day))
    columns = {name: np.concatenate([part[name] for part in told]) for name in told[0]}
    labels = {name: columns.pop(name) for name in (CLICKED, ORDERED)}
    faults += [f"{name} alone tells `{label}` with AUC {value:.3f}" for label, values in labels.items()
               for name, column in columns.items() if (value := strength(values, column)) > TOLD_BY_ONE_INPUT]
    if faults:
        raise DataError(f"training_frame version {frame.version} leaks: {'; '.join(faults)}. Inputs must be as known at "
                        "event_time: repair the job that writes them, then write those days again")


def read_too_late(rows: pa.Table) -> int:
    """Rows whose counts were published after the impression."""
    return true(pc.greater(moment(rows, "maturity_tick"), moment(rows, EVENT_TIME)))


def never_published(rows: pa.Table) -> int:
    """Rows without a tick: nothing was published of the item, so its counts are 0."""
    any_count = pc.greater(pc.add(rows.column(EXPOSURE_7D), rows.column(CLICK_7D)), 0)
    return true(pc.and_(pc.is_null(rows.column("maturity_tick")), any_count))


def two_counts(rows: pa.Table) -> int:
    """Rows whose item has other counts at the same tick: one of them holds what only its impression could know."""
    known = rows.filter(pc.is_valid(rows.column("maturity_tick")))
    groups = known.group_by([ITEM_ID, "maturity_tick"]).aggregate(
        [(name, how) for name in COUNTS for how in ("min", "max")] + [([], "count_all")])
    differ = [pc.not_equal(groups.column(f"{name}_min"), groups.column(f"{name}_max")) for name in COUNTS]
    return pc.sum(groups.filter(pc.or_(*differ)).column("count_all")).as_py() or 0


def counted_otherwise(rows: pa.Table, published: PinnedTable, ds: str) -> int:
    """Rows with a tick of the day itself whose counts are not those published then, or of which nothing was published then."""
    ticks = published.read((ITEM_ID, TICK, *COUNTS), (DS, ds))
    ticks = ticks.select([ITEM_ID, *COUNTS]).append_column("maturity_tick", moment(ticks, TICK))
    own = rows.select([ITEM_ID, *COUNTS]).append_column("maturity_tick", moment(rows, "maturity_tick"))
    of_day = pc.equal(pc.strftime(own.column("maturity_tick"), "%Y-%m-%d"), ds)
    keys = [ITEM_ID, "maturity_tick", *COUNTS]
    return own.filter(pc.fill_null(of_day, False)).join(ticks, keys, join_type="left anti").num_rows


def unlisted_repeats(day: Day) -> int:
    """Rows whose repeat_count is positive without the candidate in the history, where all that is known is listed there; or is
    0 although it is. Items without a row of their own cannot be told apart."""
    features = day.features
    history, item = features["history_rows"], features["item_row"]
    listed = (history == item[:, np.newaxis]).any(axis=1)
    repeated = features["repeat_count"] > 0
    all_listed = history[:, -1] == PADDING_ROW
    return int(((item >= FIRST_ROW) & ((repeated & ~listed & all_listed) | (listed & ~repeated))).sum())


def moment(rows: pa.Table, name: str) -> pa.ChunkedArray:
    return rows.column(name).cast(pa.timestamp("us", "UTC"))


def true(values: pa.ChunkedArray) -> int:
    return pc.sum(pc.fill_null(values, False)).as_py() or 0


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
