"""How far chance alone could move a figure, where rows of one user, or of one day, stand or fall together.

A strategy gets the rows and a statistic of them, and returns its bounds, two arrays of the statistic's shape, NaN where a
bound means nothing. All slices of one report share a strategy, hence its draws.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


class Units(Protocol):
    """What a row belongs to, as dense numbers int[n]: its user, its day, both together."""

    users: NDArray
    days: NDArray
    user_days: NDArray


class Statistic(Protocol):
    def figures(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """float64[...] of the rows, each as often as its weight says."""

    def sums(self, *units: NDArray) -> list[NDArray[np.float64]]:
        """d figures / d weight of the rows, summed over the clusters of each of the units: float64[..., clusters]."""


class Interval(Protocol):
    said: str

    def bounds(self, units: Units, statistic: Statistic) -> Bounds: ...


def draws_of(units: int, seed: int, draws: int = DRAWS) -> Iterable[NDArray]:
    """How often each unit is drawn with replacement, int[units], draw by draw; the same seed gives the same draws."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(0, units, units), minlength=units)


@dataclass(frozen=True)
class UserDayInterval:
    """The middle 95 % of draws of user-days: a user's rows of one day stand or fall together."""

    draws: list[NDArray]
    said: str = "95 %, user-days drawn with replacement"

    @classmethod
    def of(cls, units: Units, seed: int = 0) -> "UserDayInterval":
        return cls(list(draws_of(int(units.user_days.max()) + 1, seed)))

    def bounds(self, units: Units, statistic: Statistic) -> Bounds:
        """NaN where most draws had nothing to compare."""
        drawn = np.stack([statistic.figures(counts[units.user_days].astype(np.float64)) for counts in self.draws])
        low, high = np.nanquantile(without_empty_columns(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        return masked(few(drawn), low, high)


@dataclass(frozen=True)
class UserAndDayInterval:
    """Twice the standard deviation where rows of one user go together and so do rows of one day (two-way clusters).

    variance = of drawing users + of drawing days − of drawing user-days, which the first two both contain (Cameron, Gelbach
    and Miller 2011); never below either of the two. Drawing users and days at once and multiplying their counts would be
    simpler but makes intervals of pure noise the square root of 3 too wide.

    Each variance is the bootstrap's in the limit of many draws, of the figure's linear part (the infinitesimal jackknife):
    the squares of what clusters' rows add to the figure. One pass instead of hundreds: a table of many models takes minutes.
    """

    said: str = "95 %, bootstrap over users and days (two-way clusters), linearised"

    @classmethod
    def of(cls, units: Units) -> "UserAndDayInterval":
        """Needs no draws, whatever the rows."""
        return cls()

    def bounds(self, units: Units, statistic: Statistic) -> Bounds:
        """NaN for a single day or user, which cannot be drawn from."""
        users, days, both = (np.square(sums).sum(axis=-1)
                             for sums in statistic.sums(units.users, units.days, units.user_days))
        spread = NORMAL_QUANTILE * np.sqrt(np.maximum.reduce([users + days - both, users, days]))
        middle = statistic.figures()
        single = min(len(np.unique(units.users)), len(np.unique(units.days))) < 2
        scarce = np.full(middle.shape, single) | np.isnan(middle)
        return masked(scarce, middle - spread, middle + spread)


def few(drawn: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where most draws had nothing to compare."""
    return np.isnan(drawn).sum(axis=0) > len(drawn) // 2


def without_empty_columns(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """NumPy warns about statistics of columns without any number; those columns are masked anyway."""
    return np.where(np.isnan(drawn).all(axis=0), 0.0, drawn)


def masked(scarce: NDArray[np.bool_], low: NDArray, high: NDArray) -> Bounds:
    return np.where(scarce, np.nan, low), np.where(scarce, np.nan, high)
