"""Time is aware UTC, to the millisecond."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from features.clock import FixedClock, SystemClock, days_between, from_ms, parse_as_of, to_ms
from features.errors import ConfigError


def test_milliseconds_are_exact_both_ways():
    moment = datetime(2026, 11, 22, 17, 27, 3, 123_000, tzinfo=UTC)
    assert to_ms(moment) == 1_795_368_423_123
    assert from_ms(1_795_368_423_123) == moment
    assert to_ms(moment.astimezone(timezone(timedelta(hours=5)))) == 1_795_368_423_123


def test_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="aware datetime"):
        to_ms(datetime(2026, 1, 1))  # noqa: DTZ001


def test_as_of_is_a_day_and_excluded():
    assert parse_as_of("2026-03-01") == date(2026, 3, 1)
    assert days_between(date(2026, 2, 27), date(2026, 3, 1)) == ["2026-02-27", "2026-02-28"]
    with pytest.raises(ConfigError, match="expects a UTC day"):
        parse_as_of("yesterday")


def test_a_fixed_clock_stands_until_it_is_moved():
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(timedelta(hours=1))
    assert clock.now_ms() == 1_767_229_200_000
    assert abs(SystemClock().now_ms() - to_ms(SystemClock().now())) < 1_000
