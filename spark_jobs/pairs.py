"""Pairs of items among the takes of some users, each take against the newest `cap` before it. Vectorised in NumPy.

Users, items and event ids are numbers here (64-bit hashes), days are days since 1970. What a rule removed travels along as
rows without a pair: `item_a` null, `item_b` the place in COUNTS, `seen_ms` the count.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.errors import ConfigError
from features.windows import HOUR_MS

COUNTS = ("takes_compared", "further_apart_than_window", "same_item", "takes_cut_by_cap",
          "user_pairs_in_range", "pairs_of_days", "pairs_of_days_below_min_support")
SIGHTING = pa.schema([("day", pa.int32()), ("item_a", pa.int64()), ("item_b", pa.int64()), ("seen_ms", pa.int64())])
SIGHTING_SCHEMA = "day int, item_a long, item_b long, seen_ms long"


@dataclass(frozen=True)
class PairRules:
    """What makes two takes a pair, and a pair worth listing; [co_click] of the settings says why."""

    window_hours: int
    cap: int
    min_support: int
    support_days: int
    min_lift: float

    def __post_init__(self) -> None:
        if min(self.window_hours, self.cap, self.min_support, self.support_days) < 1 or not self.min_lift >= 0:
            raise ConfigError(
                f"window-hours, cap, min-support and support-days must be at least 1, min-lift at least 0, got {self}")


def sightings(takes: pa.Table, rules: PairRules) -> pa.Table:
    """One row for each pair (item_a < item_b) of each user and day, however often the user made it.

    Args:
      takes: user, item, event_id int64; day int32; event_ms, ingest_ms int64. All takes of a user, in any order.
    Returns:
      rows of SIGHTING: the day on which the later-known take was ingested; the newer event time, of the last time.
    """
    columns = {name: takes[name].to_numpy() for name in takes.column_names}
    # Takes that became known at once (a basket) come in an order of no meaning: a log's own may follow the shelf.
    order = np.lexsort([columns["event_id"], columns["ingest_ms"], columns["user"]])
    user, item, day, event_ms = (columns[name][order] for name in ("user", "item", "day", "event_ms"))
    later, earlier, counts = near_takes(user, item, event_ms, rules.window_hours * HOUR_MS, rules.cap)
    found = pa.table({
        "day": day[later], "item_a": np.minimum(item[later], item[earlier]), "item_b": np.maximum(item[later], item[earlier]),
        "user": user[later], "seen_ms": np.maximum(event_ms[later], event_ms[earlier])})
    once = found.group_by(["day", "item_a", "item_b", "user"], use_threads=False).aggregate([("seen_ms", "max")])
    return with_counts(once.rename_columns({"seen_ms_max": "seen_ms"}).select(SIGHTING.names), SIGHTING, counts)


def near_takes(
    user: np.ndarray, item: np.ndarray, time_ms: np.ndarray, window_ms: int, cap: int,
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """(later take, earlier take) of each pair within the window, and what was left out. Takes ordered by user.

    A take is cut by the cap where the one just beyond it is of the same user and within the window too.
    """
    later, earlier = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    compared = far = same = cut = 0
    for back in range(1, min(cap + 1, len(user) - 1) + 1):
        of = np.flatnonzero(user[back:] == user[:-back]) + back
        near = np.abs(time_ms[of] - time_ms[of - back]) <= window_ms
        if back > cap:
            cut = int(near.sum())
            break
        differ = item[of] != item[of - back]
        compared, far, same = compared + len(of), far + int((~near).sum()), same + int((near & ~differ).sum())
        later.append(of[near & differ])
        earlier.append(of[near & differ] - back)
    return np.concatenate(later), np.concatenate(earlier), {
        "takes_compared": compared, "further_apart_than_window": far, "same_item": same, "takes_cut_by_cap": cut}


def with_counts(rows: pa.Table, schema: pa.Schema, counts: dict[str, int]) -> pa.Table:
    """`rows` and a row without a pair for each count; columns that only pairs have are null there."""
    size = len(counts)
    values = {"item_b": [COUNTS.index(name) for name in counts], "seen_ms": list(counts.values())}
    beside = pa.Table.from_pydict({name: values.get(name, [None] * size) for name in schema.names}, schema=schema)
    return pa.concat_tables([rows.cast(schema), beside])
