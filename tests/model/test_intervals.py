"""Two bootstraps held to what statistics says of them, on means whose standard error is known by hand."""

import numpy as np
import pytest

from model.evaluation import Gaps, Judge, Rows
from model.intervals import NORMAL_QUANTILE, UserAndDayInterval, UserDayInterval, draws_of

USERS, DAYS = 60, 40


def grid(per_cell=1):
    """Every user on every day."""
    users, days = (part.ravel() for part in np.meshgrid(np.arange(USERS), np.arange(DAYS)))
    users, days = np.repeat(users, per_cell), np.repeat(days, per_cell)
    return Rows(users, days, users * DAYS + days, np.zeros(len(users), bool), {})


class MeanOf:
    """The simplest statistic, whose slopes are known by hand."""

    def __init__(self, values):
        self.values = values

    def figures(self, weights=None):
        return np.array([np.average(self.values, weights=weights)])

    def sums(self, *units):
        slopes = (self.values - self.values.mean()) / len(self.values)
        return [np.bincount(unit, slopes)[np.newaxis] for unit in units]


def half_width(interval, rows, values):
    low, high = interval.of(rows).bounds(rows, MeanOf(values))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.2 * (high - low)[0])
    return float((high - low)[0] / 2)


def test_what_differs_by_user_is_as_uncertain_as_the_users_are_few():
    rows, by_user = grid(), np.random.default_rng(0).normal(size=USERS)
    expected = NORMAL_QUANTILE * by_user.std() / np.sqrt(USERS)
    assert half_width(UserAndDayInterval, rows, by_user[rows.users]) == pytest.approx(expected, rel=0.25)
    assert half_width(UserDayInterval, rows, by_user[rows.users]) < expected / 3


def test_what_differs_by_day_is_as_uncertain_as_the_days_are_few():
    rows, by_day = grid(), np.random.default_rng(1).normal(size=DAYS)
    expected = NORMAL_QUANTILE * by_day.std() / np.sqrt(DAYS)
    assert half_width(UserAndDayInterval, rows, by_day[rows.days]) == pytest.approx(expected, rel=0.25)


def test_noise_of_single_rows_is_not_counted_twice():
    rows = grid()
    noise = np.random.default_rng(2).normal(size=len(rows.users))
    expected = NORMAL_QUANTILE / np.sqrt(len(noise))
    assert half_width(UserAndDayInterval, rows, noise) == pytest.approx(expected, rel=0.35)
    assert half_width(UserDayInterval, rows, noise) == pytest.approx(expected, rel=0.25)


def test_rows_of_one_user_day_go_together():
    rows = grid(per_cell=9)
    shared = np.random.default_rng(3).normal(size=USERS * DAYS)[rows.user_days]
    expected = NORMAL_QUANTILE / np.sqrt(USERS * DAYS)
    assert half_width(UserDayInterval, rows, shared) == pytest.approx(expected, rel=0.25)


def test_one_day_has_no_interval_over_days():
    rows = grid().where(grid().days == 0)
    low, high = UserAndDayInterval.of(rows).bounds(rows, MeanOf(np.arange(USERS, dtype=float)))
    assert np.isnan([low, high]).all()


def test_a_figure_that_most_draws_lack_has_no_bounds():
    class Scarce(MeanOf):
        def figures(self, weights=None):
            return np.array([np.nan, 1.0 if weights is None else weights.mean()])

    rows = grid()
    low, high = UserDayInterval.of(rows).bounds(rows, Scarce(None))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] <= 1 <= high[1]


def test_an_undefined_figure_has_no_bounds():
    rows = grid()
    low, high = UserAndDayInterval.of(rows).bounds(rows, MeanOf(np.full(len(rows.users), np.nan)))
    assert np.isnan([low, high]).all()


def noisy_rankers():
    """Clicks of known chance, users of different taste; two rankers that see the chance through noise, one through more."""
    rng = np.random.default_rng(5)
    users, days = rng.integers(0, USERS, 6000), rng.integers(0, DAYS, 6000)
    taste = rng.normal(size=USERS)[users] + rng.normal(size=6000)
    labels = rng.random(6000) < 1 / (1 + np.exp(1.5 - taste))
    scores = {name: {seed: (1 / (1 + np.exp(1.5 - taste - noise * rng.normal(size=6000)))).round(2).clip(0.01, 0.99)  # ties
                     for seed in (1, 2)}
              for name, noise in (("a", 0.5), ("b", 1.0))}
    rows = Rows(users, days, np.unique(users * DAYS + days, return_inverse=True)[1], labels, scores)
    judges = {name: {seed: Judge(rows, values) for seed, values in seeds.items()} for name, seeds in scores.items()}
    return rows, Gaps(judges, {"b": "a"})


def test_slopes_are_what_a_small_change_of_weights_does():
    """AUC, GAUC, log-loss and calibration against central differences of the weighted figures."""
    rows, gaps = noisy_rankers()
    change = np.random.default_rng(6).normal(size=len(rows.users))
    step = 1e-5
    measured = (gaps.figures(1 + step * change) - gaps.figures(1 - step * change)) / (2 * step)
    slopes = gaps.sums(np.arange(len(change)))[0]
    np.testing.assert_allclose(slopes @ change, measured, rtol=1e-6)


@pytest.mark.parametrize("unit", ["users", "days", "user_days"])
def test_squared_sums_of_slopes_are_the_variance_of_drawn_clusters(unit):
    rows, gaps = noisy_rankers()
    clusters = getattr(rows, unit)
    drawn = np.stack([gaps.figures(counts[clusters].astype(float))
                      for counts in draws_of(clusters.max() + 1, seed=0, draws=400)])
    expected = np.square(gaps.sums(clusters)[0]).sum(axis=-1)
    # The standard deviation of 400 draws is known to 4 %; the rest is what a line misses of a curve.
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(expected), rtol=0.15)


@pytest.mark.parametrize("interval", [UserDayInterval, UserAndDayInterval])
def test_the_same_rows_have_the_same_bounds(interval):
    rows, values = grid(), np.random.default_rng(4).normal(size=USERS * DAYS)
    first, second = (interval.of(rows).bounds(rows, MeanOf(values)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
