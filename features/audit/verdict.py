"""What the audit says of one feature: how many values are the lake's, by what the others differ, and why.

A cause is one of

    late      the value of an older row than the one named, or of a row that a newer one had long replaced
    default   a default where there was a row, or a default of another value than the stated one
    version   a row that the lake does not have under that tick, codebook or log
    value     the named row is there and says something else: two definitions of one feature
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.audit.tables import all_rows, one_row

if TYPE_CHECKING:
    import duckdb

LATE, DEFAULT, VERSION, VALUE = CAUSES = ("late", "default", "version", "value")
SAMPLES = 5
PERCENTILES = (0.5, 0.9, 0.99, 1.0)

# A judged view has: request_id, key (item or user), served_ms, served, offline, difference (null where there is nothing to
# compare with), cause (null: equal).
SUMMARY = """
SELECT count(*), count(*) FILTER (cause IS NULL), coalesce(max(difference) FILTER (cause IS NOT NULL), 0) FROM {view}
"""
BY_CAUSE = "SELECT cause, count(*) FROM {view} WHERE cause IS NOT NULL GROUP BY cause ORDER BY count(*) DESC, cause"
SOME = """
SELECT cause, request_id, key, served_ms, CAST(served AS VARCHAR) AS served, CAST(offline AS VARCHAR) AS offline
FROM (SELECT *, row_number() OVER (PARTITION BY cause ORDER BY difference DESC NULLS LAST, served_ms, key) AS place
      FROM {view} WHERE cause IS NOT NULL)
WHERE place <= {samples} ORDER BY cause, place
"""
# A freshness view has: late_ms, for how long a newer row had been readable; 0: the newest was served.
FRESHNESS = """
SELECT count(*), count(*) FILTER (late_ms <= 0), count(*) FILTER (late_ms > {late_after_ms}),
       quantile_disc(greatest(late_ms, 0), {percentiles}) FROM {view}
"""
LATEST = """
SELECT request_id, key, served_ms, late_ms FROM {view} WHERE late_ms > {late_after_ms}
ORDER BY late_ms DESC, served_ms, key LIMIT {samples}
"""


def share_of(part: int, values: int) -> float:
    """Of nothing, all is well."""
    return part / values if values else 1.0


@dataclass
class Verdict:
    """One feature. samples: rows of each cause, those that differ most first. notes: what explains them."""

    feature: str
    values: int
    equal: int
    largest_difference: float
    causes: dict[str, int]
    samples: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        return share_of(self.equal, self.values)


@dataclass
class Freshness:
    """Of one kind of row: for how long a newer one had been readable when it was served, in seconds."""

    rows: str
    values: int
    newest: int
    later_than_allowed: int
    late_s: dict[str, float]
    samples: list[dict[str, Any]]

    @property
    def share_in_time(self) -> float:
        return share_of(self.values - self.later_than_allowed, self.values)


def judged(connection: "duckdb.DuckDBPyConnection", feature: str, view: str) -> Verdict:
    values, equal, largest = one_row(connection, SUMMARY.format(view=view))
    causes = dict(connection.execute(BY_CAUSE.format(view=view)).fetchall())
    samples = all_rows(connection, SOME.format(view=view, samples=SAMPLES)).to_pylist() if causes else []
    return Verdict(feature, values, equal, float(largest), causes, samples)


def freshness(connection: "duckdb.DuckDBPyConnection", rows: str, view: str, late_after_ms: int) -> Freshness:
    values, newest, late, found = one_row(connection, FRESHNESS.format(
        view=view, late_after_ms=late_after_ms, percentiles=list(PERCENTILES)))
    samples = all_rows(connection, LATEST.format(view=view, late_after_ms=late_after_ms, samples=SAMPLES))
    late_s = named(ms / 1000 for ms in found or [0] * len(PERCENTILES))
    return Freshness(rows, values, newest, late, late_s, samples.to_pylist())


class Tally:
    """A Verdict in the making, where values are compared one by one."""

    def __init__(self, feature: str) -> None:
        self.feature, self.equal, self.largest = feature, 0, 0.0
        self.causes: dict[str, int] = {}
        self.samples: dict[str, list[dict[str, Any]]] = {}

    def add(self, cause: str | None, difference: float, sample: dict[str, Any]) -> None:
        if cause is None:
            self.equal += 1
            return
        self.causes[cause] = self.causes.get(cause, 0) + 1
        self.largest = max(self.largest, float(difference))
        some = self.samples.setdefault(cause, [])
        if len(some) < SAMPLES:
            some.append({"cause": cause, **sample})

    def verdict(self) -> Verdict:
        return Verdict(self.feature, self.equal + sum(self.causes.values()), self.equal, self.largest, self.causes,
                       [sample for some in self.samples.values() for sample in some])


def freshness_of(rows: str, late_ms: NDArray[np.int64], told: list[dict[str, Any]], late_after_ms: int) -> Freshness:
    """The same from arrays. late_ms: int64[n]; told: n samples."""
    late = np.flatnonzero(late_ms > late_after_ms)
    latest = late[np.argsort(-late_ms[late], kind="stable")][:SAMPLES]
    late_s = np.quantile(late_ms, PERCENTILES, method="lower") / 1000 if len(late_ms) else np.zeros(len(PERCENTILES))
    return Freshness(rows, len(late_ms), int((late_ms <= 0).sum()), len(late), named(late_s),
                     [told[n] | {"late_ms": int(late_ms[n])} for n in latest.tolist()])


def named(late_s: Iterable[float]) -> dict[str, float]:
    return {f"p{share * 100:g}": float(seconds) for share, seconds in zip(PERCENTILES, late_s, strict=True)}
