"""Time: aware UTC everywhere, and `now()` nowhere but here."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from features.errors import ConfigError

MS_PER_DAY = 86_400_000


class Clock(Protocol):
    def now(self) -> datetime: ...

    def now_ms(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ms(self) -> int:
        return to_ms(self.now())


@dataclass
class FixedClock:
    """A clock that stands where it is put; tests move it."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def now_ms(self) -> int:
        return to_ms(self.at)

    def advance(self, by: timedelta) -> None:
        self.at += by


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, exact. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"expected an aware datetime, got the naive {moment!r}: attach its time zone")
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)


def day_start_ms(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def parse_as_of(text: str) -> date:
    """An `--as-of` value: a UTC day whose 00:00 is the exclusive upper bound of what may be known.

    Raises ConfigError: not YYYY-MM-DD.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--as-of expects a UTC day as YYYY-MM-DD (its 00:00 is excluded), got {text!r}") from None


def days_between(start: date, as_of: date) -> list[str]:
    """The `ds` strings of [start, as_of)."""
    return [(start + timedelta(days=n)).isoformat() for n in range((as_of - start).days)]
