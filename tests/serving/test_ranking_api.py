"""The ranking API over HTTP, with a real model server behind it and a store in memory."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from features.clock import FixedClock
from features.errors import EnvironmentFault
from infra.settings.tokens import ApiToken

pytestmark = pytest.mark.tf

VERSION = 2026010101
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(exported, serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("serving")
    shutil.copytree(exported.model("tiny", VERSION), root / "ranker" / str(VERSION))
    with serve(root) as running:
        yield running


@pytest.fixture
def records():
    """What the API logs."""
    return []


@pytest.fixture
def api(store, records):
    """api(server, **config) -> an HTTP client of the API."""
    from starlette.testclient import TestClient

    from serving.client import ModelClient
    from serving.rank import RankingService
    from serving.ranking_api import ApiConfig, RankingApi
    from serving.served_model import ModelFollower

    clients = []

    def make(server, **config):
        model = ModelClient(server.grpc_address, "ranker", 2_000)
        clients.append(model)
        follower = ModelFollower(server.config.root / "ranker", model.answering_version)
        service = RankingService(store, follower, model, FixedClock(NOW))
        return TestClient(RankingApi(service, ApiConfig(**config), records.append).app())

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def http(api, server):
    return api(server)


def test_reply_is_the_ranking_with_versions_and_timings(http):
    response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1", "i2", "i2"], "context": {"request_id": "r9"}})
    assert response.status_code == 200
    assert response.headers["x-request-id"] == "r9"
    reply = response.json()
    assert set(reply) == {"request_id", "user_id", "at", "model_version", "ranker", "codebook_version", "contract_hash",
                          "degraded", "user_defaults", "history_length", "items", "timings_ms"}
    assert (reply["request_id"], reply["model_version"], reply["degraded"], reply["history_length"]) == ("r9", VERSION, "", 2)
    assert len(reply["items"]) == 2
    assert set(reply["items"][0]) == {
        "item_id", "score", "ctr", "ctcvr", "semantic_weight", "sid", "codebook_version", "online_days", "exposure_7d",
        "click_7d", "maturity_tick_ms", "title", "defaults"}


def test_request_without_an_id_gets_one(http):
    response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1"]})
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert len(response.json()["request_id"]) == 32


@pytest.mark.parametrize(("header", "kept"), [("trace-7", True), ("x" * 257, False), ("", False)])
def test_id_of_the_header_stands_where_the_body_has_none(http, header, kept):
    response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1"]}, headers={"X-Request-Id": header})
    assert (response.json()["request_id"] == header) == kept
    assert response.headers["x-request-id"] == response.json()["request_id"]


@pytest.mark.parametrize(("body", "field"), [
    ({"user_id": "u0", "candidates": []}, "candidates"),
    ({"user_id": "u0", "candidates": ["i"] * 10_000}, "candidates"),
    ({"user_id": "u\t0", "candidates": ["i1"]}, "user_id"),
    ({"user_id": "u0", "candidates": [1]}, "candidates[0]"),
    ({"user_id": "u0", "candidates": ["i1"], "context": {"time": -5}}, "context.time")])
def test_bad_request_is_a_400_that_names_the_field(http, body, field):
    response = http.post("/v1/rank", json=body)
    assert (response.status_code, response.json()["field"]) == (400, field)
    assert response.json()["error"].startswith(f"{field}: ")
    assert response.headers["x-request-id"] == response.json()["request_id"] != ""


def test_body_too_long_to_read_is_refused(http):
    response = http.post("/v1/rank", content=b"[" * 5_000_000)
    assert (response.status_code, response.json()["field"]) == (413, "body")


def test_other_methods_and_paths_are_refused(http):
    wrong_method, wrong_path = http.get("/v1/rank"), http.get("/v2/rank")
    assert (wrong_method.status_code, wrong_method.json()["field"], wrong_method.headers["allow"]) == (405, "method", "POST")
    assert (wrong_path.status_code, wrong_path.json()["field"]) == (404, "path")


def test_unknown_user_and_items_are_answered(http):
    response = http.post("/v1/rank", json={"user_id": "nobody", "candidates": ["nothing", "i1"]})
    assert response.status_code == 200
    assert response.json()["user_defaults"] == ["user_row:unknown", "history_rows:empty"]


def test_half_of_the_candidates_unknown_are_ranked_among_the_known(http):
    candidates = [f"{letter}{n}" for n in range(30) for letter in ("i", "unknown-")]
    reply = http.post("/v1/rank", json={"user_id": "u0", "candidates": candidates}).json()
    assert sorted(item["item_id"] for item in reply["items"]) == sorted(candidates)
    assert {item["item_id"] for item in reply["items"] if "item_row:unknown" in item["defaults"]} == set(candidates[1::2])


def test_token_is_wanted_where_one_is_configured(api, server):
    http = api(server, tokens=[ApiToken("s3cret")])
    body = {"user_id": "u0", "candidates": ["i1"]}
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
        response = http.post("/v1/rank", json=body, headers=header)
        assert (response.status_code, response.json()["field"]) == (401, "Authorization")
        assert http.get("/v1/example", headers=header).status_code == 401
    assert http.post("/v1/rank", json=body, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert http.get("/healthz").status_code == 200


def test_old_token_is_taken_until_its_end_beside_the_new_one(api, server):
    body = {"user_id": "u0", "candidates": ["i1"]}
    tokens = [ApiToken("new"), ApiToken("old", NOW + timedelta(hours=1)), ApiToken("older", NOW)]
    http = api(server, tokens=tokens)
    answers = [http.post("/v1/rank", json=body, headers={"Authorization": f"Bearer {token.secret}"}) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    assert "ended at 2026-01-01T00:00:00+00:00: use its successor" in answers[2].json()["error"]
    assert answers[2].headers["www-authenticate"] == "Bearer"


def test_request_is_a_record_with_everything_but_the_user(http, records):
    http.post("/v1/rank", json={"user_id": "somebody", "candidates": ["i1", "i2"], "context": {"request_id": "r9"}})
    http.post("/v1/rank", json={"user_id": "somebody\n", "candidates": ["i1"]}, headers={"X-Request-Id": "r10"})
    answered, refused = records
    assert {name: answered[name] for name in ("event", "request_id", "status", "candidates", "model_version", "degraded")} == {
        "event": "rank", "request_id": "r9", "status": 200, "candidates": 2, "model_version": VERSION, "degraded": ""}
    assert set(answered["ms"]) == {"wait", "read", "assemble", "predict", "reply", "total"}
    assert (refused["request_id"], refused["status"], refused["field"]) == ("r10", 400, "user_id")
    assert "somebody" not in str(records)


def test_fault_of_our_own_is_a_500_with_an_id_that_the_log_explains(http, store, records):
    store.read_items = lambda ids: {}["bug"]
    response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1"], "context": {"request_id": "r9"}})
    assert (response.status_code, response.json()["request_id"]) == (500, "r9")
    assert "KeyError: 'bug'" in records[0]["error"]
    assert "bug" not in response.text


def test_request_beyond_those_in_flight_is_refused_at_once_and_the_next_is_answered(api, server, store):
    free, started, read_user = threading.Event(), threading.Semaphore(0), store.read_user

    def held(user_id):
        started.release()
        assert free.wait(10)
        return read_user(user_id)

    store.read_user = held
    body = {"user_id": "u0", "candidates": ["i1"]}
    with api(server, threads=1, max_in_flight=2) as http, ThreadPoolExecutor(2) as callers:
        accepted = [callers.submit(http.post, "/v1/rank", json=body) for _ in range(2)]
        assert started.acquire(timeout=10)
        while figures(http)["gatesid_rank_in_flight"] < 2:
            time.sleep(0.01)
        refused = http.post("/v1/rank", json=body)
        free.set()
        assert [answer.result(10).status_code for answer in accepted] == [200, 200]
        assert http.post("/v1/rank", json=body).status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"] == "2 requests are in flight already: try again in 1 s"


def test_health_and_readiness(http, api, serve, tmp_path):
    assert http.get("/healthz").json() == {"status": "ok"}
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()["model_version"]) == (200, VERSION)
    with serve(tmp_path / "empty") as empty:
        without = api(empty)
        assert without.get("/healthz").status_code == 200
        assert without.get("/readyz").status_code == 503
        assert "no version" in without.get("/readyz").text or "Could not find" in without.get("/readyz").text


def test_without_a_model_the_reply_is_a_degraded_200(api, serve, tmp_path):
    with serve(tmp_path / "empty") as empty:
        http = api(empty)
        response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1", "i30"]})
        assert response.status_code == 200
        assert response.json()["degraded"].startswith("model: ")
        assert [item["item_id"] for item in response.json()["items"]] == ["i30", "i1"]
        assert 'gatesid_rank_degraded_total{part="model"} 1.0' in http.get("/metrics").text


def test_store_that_is_down_is_a_degraded_200(http, store, monkeypatch):
    def down(*_):
        raise EnvironmentFault("the online store does not answer")

    monkeypatch.setattr(store, "read_items", down)
    response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1"]})
    assert (response.status_code, response.json()["model_version"]) == (200, VERSION)
    assert response.json()["degraded"] == "feature store: the online store does not answer"
    assert 'gatesid_rank_degraded_total{part="feature_store"} 1.0' in http.get("/metrics").text


def figures(http):
    """The exposition as {name and labels: value}."""
    lines = [line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_metrics_count_requests_candidates_and_defaults(http):
    # Differences: where Feast was imported first, it has put the client into multi-process mode, which keeps counts.
    before = figures(http)
    http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1", "nobody"]})
    http.post("/v1/rank", json={"user_id": "u0", "candidates": []})
    after = figures(http)
    added = {name: value - before.get(name, 0) for name, value in after.items()}
    for name, count in (('gatesid_rank_requests_total{status="200"}', 1), ('gatesid_rank_requests_total{status="400"}', 1),
                        ("gatesid_rank_candidates_total", 2), ('gatesid_rank_defaults_total{default="item_row:unknown"}', 1),
                        ('gatesid_rank_stage_seconds_count{stage="predict"}', 1)):
        assert added[name] == count, name
    assert after["gatesid_rank_model_version"] == 2026010101


def test_example_names_a_user_and_items_the_model_knows(http):
    http.get("/readyz")
    example = http.get("/v1/example").json()
    assert example["user_id"] == "u0"
    assert len(example["candidates"]) == 20
    reply = http.post("/v1/rank", json=example).json()
    assert "user_row:unknown" not in reply["user_defaults"]


def test_page_is_served_with_a_policy_that_loads_nothing_from_elsewhere(http):
    response = http.get("/")
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert '<input id="user"' in response.text
    assert "http://" not in response.text
    assert "https://" not in response.text


def test_command_answers_before_there_is_a_model_or_a_store(tmp_path, free_port):
    import json
    import os
    import signal
    import subprocess
    import sys
    import urllib.request

    port = free_port()
    environ = os.environ | {
        "GATESID_HOME": str(tmp_path), "GATESID_RANKING_API": f"127.0.0.1:{port}",
        "GATESID_MODEL_GRPC": f"127.0.0.1:{free_port()}", "GATESID_VALKEY": f"127.0.0.1:{free_port()}"}
    process = subprocess.Popen([sys.executable, "-m", "serving.ranking_api"], env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert any("ready: http://127.0.0.1" in line for line in iter(process.stdout.readline, ""))
        body = json.dumps({"user_id": "u0", "candidates": ["i1"]}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/rank", body, timeout=5) as response:
            reply = json.load(response)
        assert "model: " in reply["degraded"]
        assert "feature store: " in reply["degraded"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
