"""What a ranking request may hold; every refusal names its field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import RequestError
from serving.ranking_request import MAX_BODY_BYTES, RankContext, RankRequest, build_request, parse_request

NOW_MS = 1_767_225_600_000


def parse(document, max_candidates=1_000):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_request(body, max_candidates, NOW_MS)


def good(**changes):
    return {"user_id": "u7", "candidates": ["i1", "i2"]} | changes


def test_whole_request_is_read():
    assert parse(good(context={"request_id": "r9", "time": NOW_MS})) == RankRequest(
        "u7", ["i1", "i2"], RankContext("r9", NOW_MS))
    for nothing in (good(), good(context=None), good(context={}), good(context={"time": None, "request_id": None})):
        assert (parse(nothing).at_ms, parse(nothing).request_id) == (None, None)


@pytest.mark.parametrize(("document", "field", "says"), [
    (b"{", "body", "does not parse"),
    (b"\xff\xfe", "body", "does not parse"),
    ([1], "body", "expected object, got array"),
    ({"candidates": ["i1"]}, "user_id", "expected a value, got nothing"),
    (good(user_id=7), "user_id", "expected str, got int; got 7"),
    (good(user_id=""), "user_id", "expected str of length >= 1; got ''"),
    (good(user_id="u" * 257), "user_id", "expected str of length <= 256; got 257 characters"),
    (good(user_id="u\n7"), "user_id", "control characters"),
    (good(user_id="u\x007"), "user_id", "control characters"),
    (good(user_id="u\x9f7"), "user_id", "control characters"),
    (b'{"user_id": "\\ud800", "candidates": ["i1"]}', "body", "surrogate"),
    ({"user_id": "u7"}, "candidates", "expected a value, got nothing"),
    (good(candidates="i1"), "candidates", "expected array, got str; got 'i1'"),
    (good(candidates=[]), "candidates", "expected array of length >= 1; got 0 of them"),
    (good(candidates=["i1"] * 1_001), "candidates", "expected array of length <= 1000; got 1,001 of them"),
    (good(candidates=["i1", None]), "candidates[1]", "expected str, got null"),
    (good(candidates=["i1", ["i2"]]), "candidates[1]", "expected str, got array"),
    (good(candidates=["i1", "i2", "\x1b[31m"]), "candidates[2]", "control characters"),
    (good(candidates=["i1", True]), "candidates[1]", "expected str, got bool; got True"),
    (good(context=[]), "context", "expected object | null, got array"),
    (good(context={"time": "now"}), "context.time", "got 'now'"),
    (good(context={"time": True}), "context.time", "got True"),
    (good(context={"time": -1}), "context.time", "expected float >= 0.0; got -1"),
    (good(context={"time": 1.5}), "context.time", "got 1.5"),
    (b'{"user_id": "u7", "candidates": ["i1"], "context": {"time": 1e999}}', "body", "out of range"),
    (good(context={"time": NOW_MS + 300_001}), "context.time", "now + 5 min"),
    (good(context={"time": 10**300}), "context.time", "now + 5 min"),
    (good(context={"request_id": 5}), "context.request_id", "got 5"),
    (good(context={"weather": "fine"}), "context.weather", "is not a field; expected request_id, time"),
    ({"": 1}, '""', "is not a field"),
    (good(price=1), "price", "is not a field; expected user_id, candidates, context")])
def test_refusal_names_the_field(document, field, says):
    with pytest.raises(RequestError) as caught:
        parse(document)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_how_many_candidates_are_taken_is_a_setting():
    with pytest.raises(RequestError, match="expected 1 to 2 item ids, got 3: split the request"):
        parse(good(candidates=["i1", "i2", "i3"]), max_candidates=2)


@pytest.mark.parametrize(("arguments", "field"), [
    (("u7", []), "candidates"), (("u7", ["i1", 7]), "candidates[1]"), (("", ["i1"]), "user_id"),
    (("u7", ["i1"] * 1_001), "candidates"), (("u7", ["i1"], -1), "context.time"),
    (("u7", ["i1"], NOW_MS + 300_001), "context.time"), (("u7", ["i1"], None, "r\n9"), "context.request_id"),
    (("u7", ["\ud800"]), "user_id or candidates")])
def test_values_at_hand_are_held_to_the_same_rules(arguments, field):
    user_id, candidates, at_ms, request_id = (*arguments, None, None)[:4]
    with pytest.raises(RequestError) as caught:
        build_request(user_id, candidates, at_ms, request_id, 1_000, NOW_MS)
    assert caught.value.field == field


def test_candidates_at_hand_may_be_of_any_sequence():
    assert build_request("u7", ("i1", "i2"), NOW_MS, "r9", 1_000, NOW_MS) == parse(
        good(context={"time": NOW_MS, "request_id": "r9"}))


def test_longest_request_that_is_allowed_fits_the_body():
    body = json.dumps(good(candidates=["\N{PILE OF POO}" * 256] * 1_000)).encode()
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
