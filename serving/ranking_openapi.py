"""The OpenAPI document of the ranking API, made from the types of the request and of the reply."""

from typing import Any

import msgspec

from features.spec import contract_hash
from features.windows import MAX_FUTURE_MS
from serving.ranking_reply import RankedItem, RankedReply
from serving.ranking_request import RankRequest

REQUEST = {"user_id": "u7", "candidates": ["i42", "i43"], "context": {"request_id": "r9", "time": 1767225600000}}


class Refusal(msgspec.Struct, frozen=True):
    """error: what was expected, what came, what to do. field: the part of the request at fault; "" where none is."""

    error: str
    field: str
    request_id: str


REFUSALS = {
    # status: what it means, field, error
    "400": ("a field is at fault", "candidates", "candidates: expected array of length >= 1; got 0 of them"),
    "401": ("no valid token", "Authorization", "Authorization: expected `Bearer <token>` with a configured token"),
    "413": ("the body is too long", "body", "body: expected at most 4,000,000 bytes, got more: send fewer candidates"),
    "500": ("nothing could be scored", "", "an internal fault (KeyError); it is in the log under this request_id"),
    "503": ("too many requests at once", "", "6 requests are in flight already: try again in 1 s"),
}
REPLY = RankedReply(
    request_id="r9", user_id="u7", at="2026-01-01T00:00:00.000+00:00", model_version=2026010101, ranker="gatesid",
    codebook_version="cb-2025-12-31", contract_hash=contract_hash(), degraded="", user_defaults=[], history_length=50,
    items=[
        RankedItem("i42", 0.125, 0.125, 0.03125, 0.25, [12, 255, 7, 0], "cb-2025-12-31", 310, 4_000, 200, 1767225590000,
                   "Rolled oats 500 g", []),
        RankedItem("i43", 0.0625, 0.0625, 0.015625, 0.875, None, "", 1, 0, 0, None,
                   "Oat drink 1 l", ["item_stats:no_maturity", "item_row:unknown", "item_codes:missing"])],
    timings_ms={"wait": 0.0, "read": 2.1, "assemble": 0.5, "predict": 4.2, "reply": 0.3, "total": 7.1})


def openapi(max_candidates: int, needs_token: bool, now_ms: int) -> dict[str, Any]:
    """OpenAPI 3.1, with the bounds that hold now."""
    _, schemas = msgspec.json.schema_components(
        [RankRequest, RankedReply, Refusal], ref_template="#/components/schemas/{name}")
    schemas["RankRequest"]["properties"]["candidates"]["maxItems"] = max_candidates
    schemas["RankContext"]["properties"]["time"]["anyOf"][0]["maximum"] = now_ms + MAX_FUTURE_MS

    def content(schema: str, example: Any) -> dict[str, Any]:
        described = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": msgspec.to_builtins(example)}
        return {"application/json": described}

    def plain(summary: str, *statuses: int) -> dict[str, Any]:
        responses = {str(status): {"description": "see the summary"} for status in statuses}
        return {"get": {"summary": summary, "responses": responses}}

    answers: dict[str, Any] = {
        status: {"description": meaning, "content": content("Refusal", Refusal(error, field, "r9"))}
        for status, (meaning, field, error) in REFUSALS.items()}
    answers["503"]["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    answers["200"] = {
        "description": "best first; `degraded` says why where the scores are not the model's, or its features are defaults",
        "content": content("RankedReply", REPLY)}
    rank = {"summary": "Order candidates for a user", "operationId": "rank", "responses": answers,
            "requestBody": {"required": True, "content": content("RankRequest", REQUEST)}}
    document: dict[str, Any] = {
        "openapi": "3.1.0", "info": {"title": "gatesid ranking API", "version": "1"},
        "paths": {
            "/v1/rank": {"post": rank},
            "/v1/example": plain("a request that the serving model knows the user and the items of", 200, 401),
            "/healthz": plain("200 while the process runs", 200),
            "/readyz": plain("200 when a model answers, else 503 and why", 200, 503),
            "/metrics": plain("Prometheus' exposition", 200)},
        "components": {"schemas": schemas}}
    if needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in ("/v1/rank", "/v1/example"):
            for operation in document["paths"][path].values():
                operation["security"] = [{"token": []}]
    return document
