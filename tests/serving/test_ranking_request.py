"""What a ranking request may hold; every refusal names its field."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import RequestError
from serving.ranking_request import MAX_BODY_BYTES, RankRequest, parse_request

NOW_MS = 1_767_225_600_000


def parse(document, max_candidates=1_000):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_request(body, max_candidates, NOW_MS)


def good(**changes):
    return {"user_id": "u7", "candidates": ["i1", "i2"]} | changes


def test_whole_request_is_read():
    assert parse(good(context={"request_id": "r9", "time": NOW_MS})) == RankRequest(
        "u7", ["i1", "i2"], datetime(2026, 1, 1, tzinfo=UTC), "r9")
    assert parse(good()) == RankRequest("u7", ["i1", "i2"], None, None)
    assert parse(good(context=None)) == parse(good(context={}))


@pytest.mark.parametrize(("document", "field", "says"), [
    (b"{", "body", "does not parse"),
    (b"\xff\xfe", "body", "does not parse"),
    ([1], "body", "got a list"),
    ({"candidates": ["i1"]}, "user_id", "expected a string, got nothing"),
    (good(user_id=7), "user_id", "got a number"),
    (good(user_id=""), "user_id", "1 to 256 characters, got 0"),
    (good(user_id="u" * 257), "user_id", "got 257"),
    (good(user_id="u\n7"), "user_id", "control characters"),
    (good(user_id="u\x007"), "user_id", "control characters"),
    (b'{"user_id": "\\ud800", "candidates": ["i1"]}', "user_id", "control characters"),
    ({"user_id": "u7"}, "candidates", "got nothing"),
    (good(candidates="i1"), "candidates", "got a string"),
    (good(candidates=[]), "candidates", "1 to 1,000 item ids, got 0"),
    (good(candidates=["i1"] * 1_001), "candidates", "got 1,001"),
    (good(candidates=["i1", None]), "candidates[1]", "got nothing"),
    (good(candidates=["i1", ["i2"]]), "candidates[1]", "got a list"),
    (good(candidates=["i1", "i2", "\x1b[31m"]), "candidates[2]", "control characters"),
    (good(candidates=["i1", True]), "candidates[1]", "got a boolean"),
    (good(context=[]), "context", "got a list"),
    (good(context={"time": "now"}), "context.time", "got a string"),
    (good(context={"time": True}), "context.time", "got a boolean"),
    (good(context={"time": -1}), "context.time", "got -1"),
    (good(context={"time": NOW_MS + 300_001}), "context.time", "now + 5 min"),
    (good(context={"time": 10**300}), "context.time", "now + 5 min"),
    (good(context={"request_id": 5}), "context.request_id", "got a number"),
    (good(context={"weather": "fine"}), "context.weather", "is not a field; expected request_id, time"),
    (good(price=1), "price", "is not a field; expected user_id, candidates, context")])
def test_refusal_names_the_field(document, field, says):
    with pytest.raises(RequestError) as caught:
        parse(document)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_longest_request_that_is_allowed_fits_the_body():
    body = json.dumps(good(candidates=["\N{SNOWMAN}" * 256] * 1_000), ensure_ascii=False).encode()
    assert len(body) < MAX_BODY_BYTES
    assert len(parse(body).candidates) == 1_000


def test_body_without_end_is_refused():
    with pytest.raises(RequestError, match="body: expected at most"):
        parse(b" " * (MAX_BODY_BYTES + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["user_id", "candidates", "context", "time", "request_id", "x"]), inner, max_size=4), max_leaves=12)


def outcome(document):
    """The request, or the refusal."""
    try:
        return parse(document)
    except RequestError as fault:
        return fault


def is_well_formed(result) -> bool:
    if isinstance(result, RequestError):
        return bool(result.field) and str(result).startswith(result.field)
    return bool(result.candidates) and all(isinstance(item, str) and item for item in [result.user_id, *result.candidates])


@given(JSON)
def test_any_json_is_either_a_request_or_a_named_refusal(document):
    assert is_well_formed(outcome(document))


@given(st.binary(max_size=60))
def test_any_bytes_are_either_a_request_or_a_named_refusal(body):
    assert is_well_formed(outcome(body))
