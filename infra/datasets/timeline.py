"""Shifting a data set's dates so that its last day is yesterday: whole weeks only, so weekdays stay what they were."""

from datetime import date, timedelta

from features.clock import MS_PER_DAY, Clock

MS_PER_WEEK = 7 * MS_PER_DAY


def yesterday(clock: Clock) -> date:
    """The last whole UTC day: the day every demo data set ends on."""
    return clock.now().date() - timedelta(days=1)


def weeks_until(last_day: date, anchor: date) -> int:
    """The fewest whole weeks after which `last_day` is on or after `anchor`; what then lies after it is cut (0-6 days)."""
    return -((last_day - anchor).days // 7)


def day_number(day: date) -> int:
    """Days since the epoch."""
    return (day - date(1970, 1, 1)).days
