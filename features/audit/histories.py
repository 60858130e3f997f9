"""Served takes against the raw events, and what was made of them: the history, and how often and how long ago what was taken.

A user's list names no moment of the log: consumers of several partitions write it, each as far as it has read. So the list
itself says which version it is. Within a partition it must hold every take up to the last one that it holds:

    partition 0   t1 t2 t3 | t7        served: t1 t2 t3 t5     equal: t7 was not read yet
    partition 1   t5 | t6              served: t1 t3 t5        not equal: t2 is missing, though t3 is there

What was not read yet although it was readable is lateness, judged as freshness. The other features are made of the lake's takes
of that version by features/history.py, which serving and training call too.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.audit.tables import all_rows
from features.audit.verdict import DEFAULT, VALUE, VERSION, Freshness, Tally, Verdict, freshness_of
from features.clock import from_ms
from features.history import HISTORY_KEPT, last_distinct, repeat_features
from features.windows import AVAILABILITY_DELAY_MS, DEDUPE_HORIZON_MS

if TYPE_CHECKING:
    import duckdb

Int64 = NDArray[np.int64]
REQUESTS_AT_ONCE = 5_000

TAKES = f"""
WITH ids AS (SELECT DISTINCT event_id FROM events
             WHERE event_type IN ('click', 'order') AND user_id IN (SELECT DISTINCT user_id FROM served)),
sightings AS (
    SELECT *, epoch_ms(ingest_time) AS ingest_ms, lag(epoch_ms(ingest_time)) OVER seen AS seen_before_ms
    FROM events WHERE event_id IN (SELECT event_id FROM ids)
    WINDOW seen AS (PARTITION BY event_id ORDER BY ingest_time, "partition", "offset")),
takes AS (
    SELECT * FROM sightings
    WHERE (seen_before_ms IS NULL OR ingest_ms - seen_before_ms > {DEDUPE_HORIZON_MS}) AND event_type IN ('click', 'order')
    QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY ingest_time, "partition", "offset") = 1)
SELECT user_id, item_id, epoch_ms(event_time) AS event_ms, ingest_ms, dense_rank() OVER (ORDER BY source, "partition") AS log,
       row_number() OVER (PARTITION BY user_id, source, "partition" ORDER BY ingest_time, "offset") AS place
FROM takes WHERE user_id IN (SELECT DISTINCT user_id FROM served) ORDER BY user_id, event_ms, event_id
"""
REQUESTS = """
SELECT request_id, user_id, served_ms, at_ms, history_version_ms, taken_item_ids, taken_at_ms, history_item_ids, item_ids,
       repeat_count, repeat_age_days FROM served ORDER BY user_id, served_ms
"""


@dataclass
class Takes:
    """One user's takes by the raw events, T of them, ordered by (event time, event id).

    log, place: which partition each stands in, and as which of the user's takes there.
    """

    items: NDArray[np.str_]
    event_ms: Int64
    ingest_ms: Int64
    log: Int64
    place: Int64

    def __post_init__(self) -> None:
        self.found: dict[tuple[int, str], list[int]] = defaultdict(list)
        keys = list(zip(self.event_ms.tolist(), self.items.tolist(), strict=True))
        for n in np.argsort(self.ingest_ms, kind="stable").tolist():  # of twins, the first ingested is listed first
            self.found[keys[n]].append(n)

    def places_of(self, items: list[str], event_ms: list[int]) -> tuple[Int64, int]:
        """Where the listed takes stand here, and how many do not."""
        met: dict[tuple[int, str], int] = defaultdict(int)
        places, unknown = [], 0
        for key in zip(event_ms, items, strict=True):
            twins = self.found.get(key, [])
            if met[key] < len(twins):
                places.append(twins[met[key]])
            else:
                unknown += 1
            met[key] += 1
        return np.array(places, np.int64), unknown


@dataclass
class Judged:
    """A served list: why it is not the lake's (None: it is), for how long it was late, the lake's takes of its version."""

    cause: str | None
    late_ms: int
    offline: Int64


def judge_list(takes: Takes, items: list[str], event_ms: list[int], at_ms: int, served_ms: int) -> Judged:
    """A list of takes, oldest first, that was read at `served_ms` and cut to what happened before `at_ms`."""
    places, unknown = takes.places_of(items, event_ms)
    read_up_to = np.zeros(int(takes.log.max(initial=0)) + 1, np.int64)
    np.maximum.at(read_up_to, takes.log[places], takes.place[places])
    read, before = takes.place <= read_up_to[takes.log], takes.event_ms < at_ms
    offline = np.flatnonzero(read & before)
    due = ~read & before & (takes.ingest_ms + AVAILABILITY_DELAY_MS <= served_ms)
    # The store keeps the newest of all takes; those after `at_ms` may have pushed out as many of the oldest.
    cut_off = int((~before & (takes.ingest_ms <= served_ms)).sum())
    if len(items) + cut_off >= HISTORY_KEPT:
        offline = offline[max(0, len(offline) - len(items)):]
        due &= takes.event_ms > (event_ms[0] if event_ms else at_ms)
    late_ms = served_ms - AVAILABILITY_DELAY_MS - int(takes.ingest_ms[due].min()) if due.any() else 0
    same = takes.event_ms[offline].tolist() == event_ms and takes.items[offline].tolist() == items
    return Judged(VERSION if unknown else None if same else VALUE, late_ms, offline)


def judge_histories(connection: "duckdb.DuckDBPyConnection", late_after_ms: int) -> tuple[list[Verdict], Freshness]:
    takes = takes_by_user(connection)
    names = ("history", "history_item_ids", "repeat_count", "repeat_age_days")
    tallies = {name: Tally(name) for name in names}
    late: list[int] = []
    told: list[dict[str, Any]] = []
    requests: Any = connection.sql(REQUESTS).to_arrow_reader(REQUESTS_AT_ONCE)
    for batch in requests:
        for request in batch.to_pylist():
            known = takes.get(request["user_id"], NOTHING)
            at_ms, served_ms = request["at_ms"], request["served_ms"]
            verdict = judge_list(known, request["taken_item_ids"], request["taken_at_ms"], at_ms, served_ms)
            if request["history_version_ms"] < 0 and verdict.late_ms > late_after_ms:
                verdict.cause = DEFAULT
            late.append(verdict.late_ms)
            told.append({"request_id": request["request_id"], "key": request["user_id"], "served_ms": served_ms})
            judge_request(tallies, request, known, verdict)
    return [tally.verdict() for tally in tallies.values()], freshness_of("user histories", np.array(late), told, late_after_ms)


def judge_request(tallies: dict[str, Tally], request: dict[str, Any], takes: Takes, verdict: Judged) -> None:
    """Count one request's list, and what was made of it."""
    items, times = takes.items[verdict.offline], takes.event_ms[verdict.offline]
    where = {"request_id": request["request_id"], "key": request["user_id"], "served_ms": request["served_ms"]}
    served = list(zip(request["taken_item_ids"], request["taken_at_ms"], strict=True))
    offline = list(zip(items.tolist(), times.tolist(), strict=True))
    tallies["history"].add(verdict.cause, abs(len(served) - len(offline)), where if verdict.cause is None else where | {
        "served": but_not(served, offline), "offline": but_not(offline, served)})
    history = last_distinct(items).tolist()
    differing = sum(a != b for a, b in zip(request["history_item_ids"], history, strict=False))
    differing += abs(len(request["history_item_ids"]) - len(history))
    tallies["history_item_ids"].add((verdict.cause or VALUE) if differing else None, differing, where | {
        "served": ", ".join(request["history_item_ids"][:5]), "offline": ", ".join(history[:5])})
    candidates = np.array(request["item_ids"])
    for name, expected in zip(("repeat_count", "repeat_age_days"),
                              repeat_features(items, times, candidates, request["at_ms"]), strict=True):
        given = np.array(request[name], np.float32)
        unequal = np.flatnonzero(given != expected)
        tallies[name].equal += len(given) - len(unequal)
        for n in unequal.tolist():
            tallies[name].add(verdict.cause or VALUE, abs(float(given[n]) - float(expected[n])), where | {
                "key": request["item_ids"][n], "served": str(given[n]), "offline": str(expected[n])})


def but_not(takes: list[tuple[str, int]], others: list[tuple[str, int]]) -> str:
    """How many takes, and some of those that are not among the others."""
    own = sorted(set(takes) - set(others), key=lambda take: -take[1])
    shown = ", ".join(f"{item} of {from_ms(at_ms):%Y-%m-%dT%H:%M:%SZ}" for item, at_ms in own[:3])
    return f"{len(takes)} takes" + (f", {len(own)} of them alone ({shown})" if own else "")


def takes_by_user(connection: "duckdb.DuckDBPyConnection") -> dict[str, Takes]:
    table = all_rows(connection, TAKES)
    users, items = (np.array(table[name].to_pylist(), np.str_) for name in ("user_id", "item_id"))
    columns = [items, *(table[name].to_numpy() for name in ("event_ms", "ingest_ms", "log", "place"))]
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]][:len(users)])
    split = zip(*(np.split(column, starts[1:]) for column in columns), strict=True)
    return {str(users[start]): Takes(*parts) for start, parts in zip(starts, split, strict=False)}


NOTHING = Takes(np.empty(0, str), *(np.empty(0, np.int64) for _ in range(4)))
