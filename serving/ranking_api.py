"""The ranking API: HTTP in, ordered candidates out, and a page to try it on.

    python -m serving.ranking_api           (serves until SIGTERM; address from the settings)

    POST /v1/rank     ranking_request.py says what goes in, rank.RankedReply what comes out
    GET  /            a page: type a user and candidates, see the ranked items
    GET  /v1/example  a user and candidates that the serving model knows
    GET  /healthz     200 while the process runs · GET /readyz  200 when a model answers, else 503 and why
    GET  /metrics     Prometheus

A bad request gets a 4xx that names the field. Without model or feature store the reply is degraded, never a 5xx. Where
GATESID_API_TOKEN is set, /v1/ wants `Authorization: Bearer <token>`.
"""

import argparse
import hmac
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from features.errors import ArtefactError, GatesidError, RequestError
from features.names import TABLE_SERVED_FEATURES
from features.retrieval import OnlineFeatures, config_from
from infra.settings import load_settings
from serving.client import ModelClient
from serving.fault import ServingFault
from serving.http_server import HttpServer
from serving.process import log, port_of, wait_for_signal
from serving.rank import RankingService
from serving.ranking_metrics import RankingMetrics
from serving.ranking_request import MAX_BODY_BYTES, RankRequest, parse_request
from serving.served_log import ServedLog
from serving.served_model import ModelFollower

PAGE = Path(__file__).parent / "ranking_page.html"
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'")
FOLLOW_SECONDS = 1.0
EXAMPLE_CANDIDATES = 20
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class ApiConfig:
    max_candidates: int = 1_000
    token: str | None = None


class RankingApi:
    """The endpoints over one RankingService."""

    def __init__(self, service: RankingService, config: ApiConfig) -> None:
        self.service, self.config, self.metrics = service, config, RankingMetrics()

    def app(self) -> Starlette:
        return Starlette(routes=[
            Route("/", self.page), Route("/v1/rank", self.rank, methods=["POST"]), Route("/v1/example", self.example),
            Route("/healthz", self.healthz), Route("/readyz", self.readyz), Route("/metrics", self.exposition)])

    async def rank(self, request: Request) -> Response:
        if not self.allowed(request):
            return self.counted(refusal(401, "Authorization", "expected `Bearer <token>` with the configured token"))
        try:
            body = await bounded_body(request)
            asked = parse_request(body, self.config.max_candidates, self.service.clock.now_ms())
        except RequestError as fault:
            return self.counted(refusal(400, fault.field, str(fault)))
        return self.counted(await run_in_threadpool(self.answer, asked))

    def answer(self, asked: RankRequest) -> Response:
        reply = self.service.rank(asked.user_id, asked.candidates, asked.at, asked.request_id)
        self.metrics.observe(reply)
        return document(200, reply.as_dict(), {"X-Request-Id": reply.request_id} if reply.request_id.isascii() else {})

    def counted(self, response: Response) -> Response:
        self.metrics.requests.labels(str(response.status_code)).inc()
        return response

    def allowed(self, request: Request) -> bool:
        if self.config.token is None:
            return True
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.config.token}".encode())

    async def example(self, request: Request) -> Response:
        if not self.allowed(request):
            return refusal(401, "Authorization", "expected `Bearer <token>` with the configured token")
        model = self.service.follower.current
        users = list(model.user_index.ids[:1]) if model else []
        items = spread(model.item_index.ids, EXAMPLE_CANDIDATES) if model else []
        return document(200, {"user_id": users[0] if users else "u1", "candidates": items or ["i1", "i2", "i3"]})

    async def healthz(self, request: Request) -> Response:
        return document(200, {"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        try:
            model = await run_in_threadpool(self.service.follower.follow)
        except (ServingFault, ArtefactError) as fault:
            return document(503, {"status": "degraded", "reason": f"model: {fault}"})
        return document(200, {"status": "ready", "ranker": model.ranker, "model_version": model.version,
                              "codebook_version": model.codebook_version})

    async def exposition(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(), headers={"Content-Security-Policy": PAGE_POLICY})


async def bounded_body(request: Request) -> bytes:
    """The body, given up on once it is too long to be read as a request."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    return body


def spread(ids: Any, count: int) -> list[str]:
    """`count` ids from all over an index."""
    return list(ids[::max(1, len(ids) // count)][:count])


def document(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), status, headers, media_type="application/json")


def refusal(status: int, field: str, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return document(status, {"error": message, "field": field}, headers)


def keep_following(follower: ModelFollower, stop: threading.Event) -> None:
    """Have a new version's index in memory before a request needs it."""
    said = ""
    while not stop.is_set():
        try:
            model = follower.follow()
            line = f"model {model.ranker}/{model.version} answers, codebook {model.codebook_version}"
        except (ServingFault, ArtefactError) as fault:
            line = f"no model: {fault}; replies are degraded"
        if line != said:
            log(line)
            said = line
        stop.wait(FOLLOW_SECONDS)


def warm_up(service: RankingService) -> None:
    """Imports and connections of a first request, before anyone waits for it."""
    for _ in range(WARM_UP_CALLS):
        service.rank("warm-up", ["warm-up"])


def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="python -m serving.ranking_api", description="Serve ranking requests over HTTP until SIGTERM.").parse_args(argv)
    stop = threading.Event()
    try:
        settings = load_settings()
        name = settings.serving.model_name
        client = ModelClient(settings.addresses.model_grpc, name, settings.serving.deadline_ms)
        follower = ModelFollower(settings.layout.serving / name, client.answering_version)
        reader = OnlineFeatures(config_from(settings))
        served_log = ServedLog(settings.layout.table(TABLE_SERVED_FEATURES), settings.serving.logged_share)
        api = RankingApi(RankingService(reader, follower, client, served_log=served_log),
                         ApiConfig(settings.serving.max_candidates, settings.api_token))
        api.metrics.registry.register(served_log.requests)
        warm_up(RankingService(reader, follower, client))
        threading.Thread(target=keep_following, args=(follower, stop), daemon=True).start()
        with served_log, HttpServer(api.app(), settings.network.host, port_of(settings.addresses.ranking_api)) as server:
            log(f"ready: http://{server.address}, model server {settings.addresses.model_grpc}")
            wait_for_signal()
            log("stopping")
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    finally:
        stop.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
