"""The ranking API over HTTP, with a real model server behind it and a store in memory."""

import shutil
from datetime import UTC, datetime

import pytest

from features.clock import FixedClock
from features.errors import EnvironmentFault

pytestmark = pytest.mark.tf

VERSION = 2026010101


@pytest.fixture(scope="module")
def server(exported, serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("serving")
    shutil.copytree(exported.model("tiny", VERSION), root / "ranker" / str(VERSION))
    with serve(root) as running:
        yield running


@pytest.fixture
def api(store):
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
        service = RankingService(store, follower, model, FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
        return TestClient(RankingApi(service, ApiConfig(**config)).app())

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
        "click_7d", "title", "defaults"}


def test_request_without_an_id_gets_one(http):
    response = http.post("/v1/rank", json={"user_id": "u0", "candidates": ["i1"]})
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert len(response.json()["request_id"]) == 32


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


def test_body_too_long_to_read_is_refused(http):
    response = http.post("/v1/rank", content=b"[" * 3_000_000)
    assert (response.status_code, response.json()["field"]) == (400, "body")


def test_other_methods_and_paths_are_refused(http):
    assert http.get("/v1/rank").status_code == 405
    assert http.get("/v2/rank").status_code == 404


def test_unknown_user_and_items_are_answered(http):
    response = http.post("/v1/rank", json={"user_id": "nobody", "candidates": ["nothing", "i1"]})
    assert response.status_code == 200
    assert response.json()["user_defaults"] == ["user_row:unknown", "history_rows:empty"]


def test_token_is_wanted_where_one_is_configured(api, server):
    http = api(server, token="s3cret")
    body = {"user_id": "u0", "candidates": ["i1"]}
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
        response = http.post("/v1/rank", json=body, headers=header)
        assert (response.status_code, response.json()["field"]) == (401, "Authorization")
        assert http.get("/v1/example", headers=header).status_code == 401
    assert http.post("/v1/rank", json=body, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert http.get("/healthz").status_code == 200


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
