"""The tokens that the ranking API takes: `GATESID_API_TOKEN=new,old@2026-12-01T00:00:00Z`.

The first is what this side's own calls send. One with a time is taken until then, so a token is changed without a moment in
which a caller has the wrong one.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

LETTERS = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # of RFC 6750


@dataclass(frozen=True)
class ApiToken:
    secret: str = field(repr=False)
    expires: datetime | None = None  # None: never


def read_tokens(text: str | None, faults: list[str]) -> tuple[ApiToken, ...]:
    """In the order given. What is wrong is added to `faults`, without a secret in it."""
    tokens = []
    for place, part in enumerate(text.split(",") if text else (), 1):
        secret, sign, until = part.strip().partition("@")
        if not LETTERS.fullmatch(secret):
            faults.append(f"token {place} of GATESID_API_TOKEN must be of letters, digits and -._~+/")
        try:
            tokens.append(ApiToken(secret, aware(datetime.fromisoformat(until)) if sign else None))
        except ValueError:
            faults.append(f"token {place} of GATESID_API_TOKEN: what follows the @ must be an ISO 8601 time")
    return tuple(tokens)


def aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
