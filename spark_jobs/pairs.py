"""Pairs of items among the takes of a bucket of users, each take against the newest `cap` before it. Vectorised in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import ConfigError
from features.names import DS, EVENT_ID, ITEM_ID, USER_ID
from features.windows import HOUR_MS
from spark_jobs.event_log import EVENT_MS, INGEST_MS

COUNTS = ("takes_compared", "further_apart_than_window", "same_item", "takes_cut_by_cap")
PAIR_SCHEMA = ", ".join([
    f"{DS} string, item_a string, item_b string, users long, seen_ms long", *(f"{name} long" for name in COUNTS)])
ARROW_SCHEMA = pa.schema([(DS, pa.string()), ("item_a", pa.string()), ("item_b", pa.string()), ("users", pa.int64()),
                   ("seen_ms", pa.int64()), *((name, pa.int64()) for name in COUNTS)])


@dataclass(frozen=True)
class PairRules:
    """What makes two takes a pair, and a pair worth listing."""

    window_hours: int = 24  # between their event times, at most
    cap: int = 20  # earlier takes of a user that a take meets, the newest known
    min_support: int = 2  # user-days with the pair ...
    support_days: int = 28  # ... in so many trailing days

    def __post_init__(self) -> None:
        if min(self.window_hours, self.cap, self.min_support, self.support_days) < 1:
            raise ConfigError(f"window-hours, cap, min-support and support-days must be at least 1, got {self}")


def bucket_pairs(rules: PairRules) -> Callable[[pa.Table], pa.Table]:
    """A bucket's takes to (ds, item_a < item_b, users, seen_ms); its last row has the counts of COUNTS alone."""
    window_ms = rules.window_hours * HOUR_MS

    def pairs(table: pa.Table) -> pa.Table:
        known = in_order_of_knowledge(table)
        user, item, day = (known[name].combine_chunks().dictionary_encode() for name in (USER_ID, ITEM_ID, DS))
        rank = np.argsort(np.argsort(item.dictionary.to_numpy(zero_copy_only=False)))
        later, earlier, counts = near_takes(
            user.indices.to_numpy(), item.indices.to_numpy(), known[EVENT_MS].to_numpy(), window_ms, rules.cap)
        seen_ms = np.maximum(known[EVENT_MS].to_numpy()[later], known[EVENT_MS].to_numpy()[earlier])
        place = rank[item.indices.to_numpy()]  # numbers in the order of the ids: the same pair is the same in every bucket
        low, high = np.minimum(place[later], place[earlier]), np.maximum(place[later], place[earlier])
        days, users = day.indices.to_numpy()[later], user.indices.to_numpy()[later]
        once = newest_of_each(np.stack([days, low, high, users]), seen_ms)  # a user counts once a day, however often
        low, high, days, seen_ms = low[once], high[once], days[once], seen_ms[once]
        starts = first_of_each(np.stack([days, low, high]))
        in_order = item.dictionary.take(pa.array(np.argsort(rank)))
        return pa.Table.from_pydict({
            DS: with_null(day.dictionary.take(pa.array(days[starts]))),
            "item_a": with_null(in_order.take(pa.array(low[starts]))),
            "item_b": with_null(in_order.take(pa.array(high[starts]))),
            "users": with_null(pa.array(np.diff(np.r_[starts, len(once)]))),
            "seen_ms": with_null(pa.array(np.maximum.reduceat(seen_ms, starts) if len(starts) else seen_ms)),
            **{name: pa.array([None] * len(starts) + [count], pa.int64()) for name, count in zip(COUNTS, counts, strict=True)},
        }, schema=ARROW_SCHEMA)
    return pairs


def near_takes(
    user: np.ndarray, item: np.ndarray, time_ms: np.ndarray, window_ms: int, cap: int,
) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
    """(later take, earlier take) of each pair within the window, and the counts of COUNTS. Takes ordered by user.

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
    return np.concatenate(later), np.concatenate(earlier), (compared, far, same, cut)


def newest_of_each(key: np.ndarray, seen_ms: np.ndarray) -> np.ndarray:
    """Of each distinct column of `key`, the index of the one seen last, ordered by key."""
    order = np.lexsort((-seen_ms, *key[::-1]))
    return order[first_of_each(key[:, order])]


def first_of_each(key: np.ndarray) -> np.ndarray:
    """Where each run of equal columns starts."""
    return np.flatnonzero(np.r_[True, (key[:, 1:] != key[:, :-1]).any(axis=0)][:key.shape[1]])


def with_null(column: pa.Array) -> pa.Array:
    return pa.concat_arrays([column, pa.nulls(1, column.type)])


def in_order_of_knowledge(table: pa.Table) -> pa.Table:
    """Each event_id once, the first ingested; ordered by user and then as the takes became known."""
    keys = [(name, "ascending") for name in (USER_ID, INGEST_MS, "partition", "offset")]
    ordered = table.take(pc.sort_indices(table, sort_keys=keys))
    _, first = np.unique(ordered[EVENT_ID].combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True)
    return ordered.take(pa.array(np.sort(first))).combine_chunks()
