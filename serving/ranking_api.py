"""The ranking API: HTTP in, ordered candidates out, and a page to try it on.

    python -m serving.ranking_api           (serves until SIGTERM; address from the settings)

    POST /v1/rank         ranking_request.py says what goes in, ranking_reply.py what comes out
    GET  /                a page: type a user and candidates, see the ranked items
    GET  /v1/example      a user and candidates that the serving model knows
    GET  /openapi.json    all of this for machines
    GET  /healthz         200 while the process runs · GET /readyz  200 when a model answers, else 503 and why
    GET  /metrics         Prometheus

A bad request gets a 4xx that names the field. Without model or feature store the reply is degraded, not a 5xx. One request
too many (serving/admission.py) gets 503 with Retry-After. Where GATESID_API_TOKEN is set, /v1/ wants `Authorization: Bearer
<token>`. Every ranking request is a line of JSON in the log, without the user.
"""

import argparse
import asyncio
import gc
import hmac
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from features.errors import ArtefactError, RequestError, exit_code
from features.events import MAX_ID_LENGTH
from infra.settings import load_settings
from infra.settings.tokens import ApiToken
from serving.admission import Admission
from serving.connect import ranking_service
from serving.fault import ServingFault
from serving.http_server import HttpServer
from serving.process import log, log_record, port_of, wait_for_signal
from serving.rank import RankingService
from serving.ranking_metrics import RankingMetrics
from serving.ranking_openapi import Refusal, openapi
from serving.ranking_reply import RankedReply
from serving.ranking_request import MAX_BODY_BYTES, RankRequest, parse_request

PAGE = Path(__file__).parent / "ranking_page.html"
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'")
EXAMPLE_CANDIDATES = 20
RETRY_AFTER_S = 1
READY_SECONDS = 2.0
SWITCH_INTERVAL_S = 0.0005  # the thread that takes requests waits so long for one that works on a request, not Python's 5 ms


@dataclass(frozen=True)
class ApiConfig:
    """tokens: any of them opens /v1/; none configured, it is open. threads, max_in_flight: infra/settings."""

    tokens: Sequence[ApiToken] = ()
    threads: int = 2
    max_in_flight: int = 6


class Refused(Exception):
    """A request that is not ranked, as an HTTP status and what is said of it."""

    def __init__(self, status: int, field: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.field, self.headers = status, field, headers or {}


class RankingApi:
    """The endpoints over one RankingService."""

    def __init__(
        self, service: RankingService, config: ApiConfig, record: Callable[[dict[str, Any]], None] = log_record,
    ) -> None:
        self.service, self.config, self.record = service, config, record
        self.metrics = RankingMetrics()
        if service.served_log:
            self.metrics.registry.register(service.served_log.requests)
        self.workers = ThreadPoolExecutor(config.threads, "rank")
        self.admission = Admission(config.threads, config.max_in_flight)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.page), Route("/v1/rank", self.rank, methods=["POST"]), Route("/v1/example", self.example),
                Route("/openapi.json", self.openapi), Route("/healthz", self.healthz), Route("/readyz", self.readyz),
                Route("/metrics", self.exposition)],
            exception_handlers={HTTPException: no_such_route})

    async def rank(self, request: Request) -> Response:
        noted = {"event": "rank", "request_id": header_id(request) or self.service.new_id()}
        try:
            response = await self.ranked(request, noted)
        except Refused as refused:
            noted["field"] = refused.field  # its words are the caller's to read: they may quote the user
            response = refusal(refused, noted["request_id"])
        except Exception as fault:
            noted["error"] = traceback.format_exc()
            said = f"an internal fault ({type(fault).__name__}); it is in the log under this request_id"
            response = refusal(Refused(500, "", said), noted["request_id"])
        self.metrics.requests.labels(str(response.status_code)).inc()
        self.record(noted | {"status": response.status_code})
        if noted["request_id"].isascii():
            response.headers["X-Request-Id"] = noted["request_id"]
        return response

    async def ranked(self, request: Request, noted: dict[str, Any]) -> Response:
        """The reply; what is known of the request is put into `noted` as it comes. Raises Refused."""
        self.check_token(request)
        self.check_load()  # before the body is read: a refusal has to cost little
        asked = await self.read(request)
        noted |= {"request_id": asked.request_id or noted["request_id"], "candidates": len(asked.candidates)}
        self.check_load()
        with self.admission.place():
            reply, body = await asyncio.get_running_loop().run_in_executor(
                self.workers, self.answer, asked, noted["request_id"], time.perf_counter())
        noted |= {"model_version": reply.model_version, "degraded": reply.degraded, "ms": reply.timings_ms}
        return Response(body, media_type="application/json")

    def answer(self, asked: RankRequest, request_id: str, taken: float) -> tuple[RankedReply, bytes]:
        reply = self.service.answer(asked, request_id, taken)
        self.metrics.observe(reply)
        return reply, msgspec.json.encode(reply)

    async def read(self, request: Request) -> RankRequest:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    said = f"body: expected at most {MAX_BODY_BYTES:,} bytes, got more: send fewer candidates"
                    raise Refused(413, "body", said)
            return parse_request(bytes(body), self.service.max_candidates, self.service.clock.now_ms())
        except ClientDisconnect:
            raise Refused(400, "body", "body: the caller went away before it was whole") from None
        except RequestError as fault:
            raise Refused(400, fault.field, str(fault)) from None

    def check_load(self) -> None:
        """Raises Refused 503."""
        if self.admission.full():
            said = f"{self.admission.in_flight} requests are in flight already: try again in {RETRY_AFTER_S} s"
            raise Refused(503, "", said, {"Retry-After": str(RETRY_AFTER_S)})

    def check_token(self, request: Request) -> None:
        """Raises Refused 401."""
        if not self.config.tokens:
            return
        given = request.headers.get("authorization", "").encode()
        known = [token for token in self.config.tokens if hmac.compare_digest(given, f"Bearer {token.secret}".encode())]
        if not known:
            raise not_allowed("expected `Bearer <token>` with a configured token")
        until = known[0].expires
        if until is not None and until <= self.service.clock.now():
            raise not_allowed(f"expected a token that is valid, got one that ended at {until.isoformat()}: use its successor")

    async def example(self, request: Request) -> Response:
        try:
            self.check_token(request)
        except Refused as refused:
            return refusal(refused, header_id(request))
        model = self.service.follower.current
        users = list(model.user_index.ids[:1]) if model else []
        items = spread(model.item_index.ids, EXAMPLE_CANDIDATES) if model else []
        return document(200, {"user_id": users[0] if users else "u1", "candidates": items or ["i1", "i2", "i3"]})

    async def openapi(self, request: Request) -> Response:
        return document(200, openapi(
            self.service.max_candidates, bool(self.config.tokens), self.service.clock.now_ms()))

    async def healthz(self, request: Request) -> Response:
        return document(200, {"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        try:
            model = await run_in_threadpool(self.service.follower.follow, READY_SECONDS)
        except (ServingFault, ArtefactError) as fault:
            return document(503, {"status": "degraded", "reason": f"model: {fault}"})
        return document(200, {"status": "ready", "ranker": model.ranker, "model_version": model.version,
                              "codebook_version": model.codebook_version})

    async def exposition(self, request: Request) -> Response:
        self.metrics.in_flight.set(self.admission.in_flight)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(), headers={"Content-Security-Policy": PAGE_POLICY})


async def no_such_route(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    field = "method" if fault.status_code == 405 else "path"
    said = f"{field}: {fault.detail}; /openapi.json lists what there is"
    return refusal(Refused(fault.status_code, field, said, fault.headers), header_id(request))


def header_id(request: Request) -> str:
    """The caller's X-Request-Id, where it is one that a log and a header can carry."""
    given = request.headers.get("x-request-id", "")
    return given if len(given) <= MAX_ID_LENGTH and given.isascii() and given.isprintable() else ""


def spread(ids: Any, count: int) -> list[str]:
    """`count` ids from all over an index."""
    return list(ids[::max(1, len(ids) // count)][:count])


def document(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def refusal(refused: Refused, request_id: str) -> Response:
    return document(refused.status, Refusal(str(refused), refused.field, request_id), refused.headers)


def not_allowed(message: str) -> Refused:
    return Refused(401, "Authorization", f"Authorization: {message}", {"WWW-Authenticate": "Bearer"})


def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="python -m serving.ranking_api", description="Serve ranking requests over HTTP until SIGTERM.").parse_args(argv)

    def serve() -> None:
        settings = load_settings()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        with ranking_service(settings) as service:
            config = ApiConfig(settings.api_tokens, settings.serving.threads, settings.serving.max_in_flight)
            app = RankingApi(service, config).app()
            with HttpServer(app, settings.network.host, port_of(settings.addresses.ranking_api)) as server:
                gc.freeze()  # what lives as long as the process is not looked through again in the middle of a request
                log(f"ready: http://{server.address}, model server {settings.addresses.model_grpc}")
                wait_for_signal()
                log("stopping")

    return exit_code(serve)


if __name__ == "__main__":
    sys.exit(main())
