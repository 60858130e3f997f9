"""A ranking request, judged at the door: every refusal names the field at fault.

    {"user_id": "u7", "candidates": ["i1", "i2"], "context": {"request_id": "r9", "time": 1767225600000}}

The types below are the rules; the OpenAPI document is made from them. Two rules depend on more than the request: `time` is at
most five minutes ahead of the clock, and how many candidates are taken is a setting.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from features.errors import RequestError
from features.events import MAX_ID_LENGTH
from features.windows import MAX_FUTURE_MS

MAX_CANDIDATES = 1_000
MAX_BODY_BYTES = 4_000_000  # the longest request that the rules allow, every letter written as an escape, is shorter
NO_CONTROL_CHARACTERS = r"^(?![\s\S]*[\u0000-\u001f\u007f-\u009f])"

Identifier = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH, pattern=NO_CONTROL_CHARACTERS,
                                 description="an id, without control characters")]


class RankContext(Struct, forbid_unknown_fields=True, frozen=True):
    request_id: Identifier | None = None
    time: Annotated[float, Meta(ge=0, multiple_of=1, description=(  # float: 5.0 is as good an integer as 5 in JSON
        "integer milliseconds since the epoch, at most five minutes ahead of the clock; default: now"))] | None = None


class RankRequest(Struct, forbid_unknown_fields=True, frozen=True):
    user_id: Identifier
    candidates: Annotated[list[Identifier], Meta(
        min_length=1, max_length=MAX_CANDIDATES, description="item ids; one given twice is answered once")]
    context: RankContext | None = None

    @property
    def at_ms(self) -> int | None:
        return int(self.context.time) if self.context and self.context.time is not None else None

    @property
    def request_id(self) -> str | None:
        return self.context.request_id if self.context else None


DECODER = msgspec.json.Decoder(RankRequest)


def parse_request(body: bytes, max_candidates: int, now_ms: int) -> RankRequest:
    """Raises RequestError, whose `field` is the part of the request at fault."""
    if len(body) > MAX_BODY_BYTES:
        raise RequestError("body", f"expected at most {MAX_BODY_BYTES:,} bytes, got more: send fewer candidates")
    try:
        asked = decoded(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise RequestError("body", f"expected a JSON object, got what does not parse ({fault})") from None
    return judged(asked, max_candidates, now_ms)


def decoded(body: bytes) -> RankRequest:
    try:
        return DECODER.decode(body)
    except msgspec.ValidationError as fault:  # it ends at the first fault: what follows may not even be JSON
        raise refusal(str(fault), msgspec.json.decode(body)) from None


def build_request(
    user_id: str, candidates: Sequence[str], at_ms: int | None, request_id: str | None, max_candidates: int, now_ms: int,
) -> RankRequest:
    """The same of values at hand. Raises RequestError."""
    context = {"request_id": request_id, "time": at_ms}
    document = {"user_id": user_id, "candidates": list(candidates), "context": context}
    try:
        asked = msgspec.convert(document, RankRequest)
        "".join([asked.user_id, *asked.candidates]).encode()
    except msgspec.ValidationError as fault:
        raise refusal(str(fault), document) from None
    except UnicodeEncodeError as fault:
        came = fault.object[fault.start]
        raise RequestError("user_id or candidates", f"expected text that UTF-8 can carry, got {came!r}") from None
    return judged(asked, max_candidates, now_ms)


def judged(asked: RankRequest, max_candidates: int, now_ms: int) -> RankRequest:
    if len(asked.candidates) > max_candidates:
        raise RequestError(
            "candidates", f"expected 1 to {max_candidates:,} item ids, got {len(asked.candidates):,}: split the request")
    latest = now_ms + MAX_FUTURE_MS
    if asked.at_ms is not None and asked.at_ms > latest:
        raise RequestError("context.time", f"expected 0 to {latest} (now + 5 min), got {described(asked.at_ms)}")
    return asked


def refusal(said: str, document: Any) -> RequestError:
    """msgspec's words, with the field taken out of them and what came put in."""
    said, _, path = said.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    if named := re.fullmatch(r"Object (contains unknown|missing required) field `(.*)`", said, re.DOTALL):
        field = ".".join(filter(None, [path, printable(named[2]) or '""']))
        fields = (RankContext if path else RankRequest).__struct_fields__
        unknown = named[1] == "contains unknown"
        said = f"is not a field; expected {', '.join(fields)}" if unknown else "expected a value, got nothing"
        return RequestError(field, said)
    if "matching regex" in said:
        said = "expected no control characters"
    came = described(value_at(document, path))
    return RequestError(path or "body", f"{said.replace('Expected', 'expected', 1).replace('`', '')}; got {came}")


def value_at(document: Any, path: str) -> Any:
    for name, place in re.findall(r"(\w+)|\[(\d+)\]", path):
        document = document[int(place) if place else name]
    return document


def described(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"{len(value):,} of them"
    if isinstance(value, str) and len(value) > MAX_ID_LENGTH:
        return f"{len(value):,} characters"
    return repr(value)[:40]


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:40])
