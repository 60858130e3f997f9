from datetime import UTC, date, datetime, timedelta

import pytest

from features.clock import FixedClock
from infra.datasets.timeline import weeks_until, yesterday


def test_yesterday_is_the_utc_day_before_the_clock():
    assert yesterday(FixedClock(datetime(2026, 11, 22, 0, 0, tzinfo=UTC))) == date(2026, 11, 21)
    assert yesterday(FixedClock(datetime(2026, 11, 22, 23, 59, tzinfo=UTC))) == date(2026, 11, 21)


@pytest.mark.parametrize(("last", "anchor", "weeks"), [
    ("2026-11-21", "2026-11-21", 0), ("2026-11-20", "2026-11-21", 1), ("2026-11-14", "2026-11-21", 1),
    ("2026-11-13", "2026-11-21", 2), ("2026-11-25", "2026-11-21", 0), ("2026-11-28", "2026-11-21", -1)])
def test_the_shift_is_the_fewest_weeks_that_reach_the_anchor(last, anchor, weeks):
    assert weeks_until(date.fromisoformat(last), date.fromisoformat(anchor)) == weeks


def test_every_anchor_cuts_at_most_six_days():
    last = date(2017, 12, 24)
    for days in range(30):
        anchor = date(2026, 11, 1) + timedelta(days=days)
        shifted = last + timedelta(weeks=weeks_until(last, anchor))
        assert 0 <= (shifted - anchor).days <= 6
        assert shifted.weekday() == last.weekday()
