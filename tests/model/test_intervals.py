"""Two bootstraps held to what statistics says of them, on means whose standard error is known by hand."""

import numpy as np
import pytest

from model.evaluation import Rows
from model.intervals import NORMAL_QUANTILE, UserAndDayInterval, UserDayInterval

USERS, DAYS = 60, 40


def grid(per_cell=1):
    """Every user on every day."""
    users, days = (part.ravel() for part in np.meshgrid(np.arange(USERS), np.arange(DAYS)))
    users, days = np.repeat(users, per_cell), np.repeat(days, per_cell)
    return Rows(users, days, users * DAYS + days, np.zeros(len(users), bool), {})


def mean_of(values):
    return lambda weights: np.array([np.average(values, weights=weights)])


def half_width(interval, rows, values):
    low, high = interval.of(rows).bounds(rows, mean_of(values))
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
    low, high = UserAndDayInterval.of(rows).bounds(rows, mean_of(np.arange(USERS, dtype=float)))
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("interval", [UserDayInterval, UserAndDayInterval])
def test_a_figure_that_most_draws_lack_has_no_bounds(interval):
    rows = grid()
    low, high = interval.of(rows).bounds(
        rows, lambda weights: np.array([np.nan, 1.0 if weights is None else weights.mean()]))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] <= 1 <= high[1]


@pytest.mark.parametrize("interval", [UserDayInterval, UserAndDayInterval])
def test_the_same_rows_have_the_same_bounds(interval):
    rows, values = grid(), np.random.default_rng(4).normal(size=USERS * DAYS)
    first, second = (interval.of(rows).bounds(rows, mean_of(values)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
