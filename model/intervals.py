"""How far chance alone could move a figure: two bootstraps of the same rows.

A strategy gets the rows and a function of row weights, float[n] → float[...], and returns its bounds, two arrays of the
function's shape, NaN where a bound means nothing. All slices of one report share a strategy, hence its draws.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
# The two-sided normal interval needs a standard deviation only, which takes fewer draws than a quantile.
DRAWS_OF_EACH = 100
CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964
Figures = Callable[[NDArray[np.float64] | None], NDArray[np.float64]]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


class Units(Protocol):
    """What a row belongs to, as dense numbers int[n]: its user, its day, both together."""

    users: NDArray
    days: NDArray
    user_days: NDArray


class Interval(Protocol):
    said: str

    def bounds(self, units: Units, figures: Figures) -> Bounds: ...


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

    def bounds(self, units: Units, figures: Figures) -> Bounds:
        """NaN where most draws had nothing to compare."""
        drawn = np.stack([figures(counts[units.user_days].astype(np.float64)) for counts in self.draws])
        low, high = np.nanquantile(without_empty_columns(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        return masked(few(drawn), low, high)


@dataclass(frozen=True)
class UserAndDayInterval:
    """Twice the standard deviation where rows of one user go together and so do rows of one day (two-way clusters).

    variance = of drawing users + of drawing days − of drawing user-days, which the first two both contain (Cameron, Gelbach
    and Miller 2011); never below either of the two. Drawing users and days at once and multiplying their counts would be
    simpler but makes intervals of pure noise the square root of 3 too wide.
    """

    draws: dict[str, list[NDArray]]  # by the name of the unit
    said: str = "95 %, users and days drawn with replacement (two-way clusters)"

    @classmethod
    def of(cls, units: Units, seed: int = 0) -> "UserAndDayInterval":
        return cls({name: list(draws_of(int(getattr(units, name).max()) + 1, seed + number, DRAWS_OF_EACH))
                    for number, name in enumerate(("users", "days", "user_days"))})

    def bounds(self, units: Units, figures: Figures) -> Bounds:
        """NaN where most draws had nothing to compare, and for a single day or user, which cannot be drawn from."""
        variance, scarce = {}, np.False_
        for name, draws in self.draws.items():
            drawn = np.stack([figures(counts[getattr(units, name)].astype(np.float64)) for counts in draws])
            scarce = scarce | few(drawn) | (len(draws[0]) < 2)
            variance[name] = np.nanvar(without_empty_columns(drawn), axis=0)
        both = variance["users"] + variance["days"] - variance["user_days"]
        spread = NORMAL_QUANTILE * np.sqrt(np.maximum.reduce([both, variance["users"], variance["days"]]))
        middle = figures(None)
        return masked(scarce, middle - spread, middle + spread)


def few(drawn: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where most draws had nothing to compare."""
    return np.isnan(drawn).sum(axis=0) > len(drawn) // 2


def without_empty_columns(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """NumPy warns about statistics of columns without any number; those columns are masked anyway."""
    return np.where(np.isnan(drawn).all(axis=0), 0.0, drawn)


def masked(scarce: NDArray[np.bool_], low: NDArray, high: NDArray) -> Bounds:
    return np.where(scarce, np.nan, low), np.where(scarce, np.nan, high)
