"""A ranking request as it comes over HTTP, judged at the door: every field at fault is named.

    {"user_id": "u7", "candidates": ["i1", "i2"], "context": {"request_id": "r9", "time": 1767225600000}}

`context` may be left out; `time` is integer milliseconds since the epoch, at most five minutes ahead of the clock.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import category

from features.clock import from_ms
from features.errors import RequestError
from features.events import MAX_ID_LENGTH
from features.windows import MAX_FUTURE_MS

MAX_BODY_BYTES = 1_000_000
FIELDS = ("user_id", "candidates", "context")
CONTEXT_FIELDS = ("request_id", "time")
CONTROL = ("Cc", "Cs")  # control characters, and halves of surrogate pairs, which no encoding can carry


@dataclass(frozen=True)
class RankRequest:
    user_id: str
    candidates: list[str]
    at: datetime | None = None
    request_id: str | None = None


def parse_request(body: bytes, max_candidates: int, now_ms: int) -> RankRequest:
    """Raises RequestError, whose `field` is the part of the request at fault."""
    if len(body) > MAX_BODY_BYTES:
        raise RequestError("body", f"expected at most {MAX_BODY_BYTES:,} bytes, got {len(body):,}: send fewer candidates")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise RequestError("body", f"expected a JSON object, got what does not parse ({fault})") from None
    if not isinstance(document, dict):
        raise RequestError("body", f"expected a JSON object, got {kind_of(document)}")
    known(document, FIELDS, "")
    context = document.get("context")
    context = {} if context is None else context
    if not isinstance(context, dict):
        raise RequestError("context", f"expected an object, got {kind_of(context)}")
    known(context, CONTEXT_FIELDS, "context.")
    return RankRequest(
        user_id=identifier("user_id", document.get("user_id")),
        candidates=candidate_ids(document.get("candidates"), max_candidates),
        at=moment("context.time", context.get("time"), now_ms),
        request_id=None if context.get("request_id") is None else identifier("context.request_id", context["request_id"]))


def known(given: dict[str, Any], fields: tuple[str, ...], prefix: str) -> None:
    for name in given:
        if name not in fields:
            raise RequestError(prefix + printable(name), f"is not a field; expected {', '.join(fields)}")


def candidate_ids(value: Any, max_candidates: int) -> list[str]:
    if not isinstance(value, list):
        raise RequestError("candidates", f"expected a list of item ids, got {kind_of(value)}")
    if not 1 <= len(value) <= max_candidates:
        raise RequestError("candidates", f"expected 1 to {max_candidates:,} item ids, got {len(value):,}: split the request")
    return [identifier(f"candidates[{place}]", item) for place, item in enumerate(value)]


def identifier(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RequestError(field, f"expected a string, got {kind_of(value)}")
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        raise RequestError(field, f"expected 1 to {MAX_ID_LENGTH} characters, got {len(value)}")
    if any(category(letter) in CONTROL for letter in value):
        raise RequestError(field, f"expected no control characters, got {value[:40]!r}")
    return value


def moment(field: str, value: Any, now_ms: int) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(field, f"expected integer milliseconds since the epoch, got {kind_of(value)}")
    if not 0 <= value <= now_ms + MAX_FUTURE_MS:
        raise RequestError(field, f"expected 0 to {now_ms + MAX_FUTURE_MS} (now + 5 min), got {printable(str(value))}")
    return from_ms(value)


def kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return "nothing" if value is None else kinds[type(value)]


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:40])
