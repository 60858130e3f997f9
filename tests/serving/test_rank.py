"""The ranking call over a real model server and a store in memory."""

import shutil
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.clock import FixedClock
from features.errors import EnvironmentFault, RequestError

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
def connect(store):
    """connect(server, **changes) -> a RankingService over it."""
    from serving.client import ModelClient
    from serving.rank import RankingService
    from serving.served_model import ModelFollower

    clients = []

    def make(server, predictor=None):
        client = ModelClient(server.grpc_address, "ranker", 2_000)
        clients.append(client)
        follower = ModelFollower(server.config.root / "ranker", client.answering_version)
        return RankingService(store, follower, predictor or client, FixedClock(NOW), new_id=lambda: "r-1")

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def service(connect, server):
    return connect(server)


def test_items_come_best_first_with_what_they_were_made_from(service):
    reply = service.rank("u0", ["i1", "i2", "i30"])
    scores = [item.score for item in reply.items]
    assert scores == sorted(scores, reverse=True)
    assert (reply.request_id, reply.user_id, reply.at) == ("r-1", "u0", "2026-01-01T00:00:00.000+00:00")
    assert (reply.model_version, reply.ranker, reply.codebook_version, reply.degraded) == (VERSION, "tiny", "cb-2026-01-01", "")
    item = next(item for item in reply.items if item.item_id == "i30")
    assert (item.sid, item.title) == ([30, 31, 32, 33], "Oats 30")
    assert (item.online_days, item.exposure_7d, item.click_7d) == (30, 300, 30)
    assert item.score == item.ctr
    assert item.ctcvr == pytest.approx(item.ctr / 2, rel=1e-6)
    assert item.semantic_weight == pytest.approx(1 / (1 + np.exp(np.mean(np.log1p([30, 300, 30])) - 1)), rel=1e-5)
    assert item.defaults == []
    assert list(reply.timings_ms) == ["wait", "read", "assemble", "predict", "reply", "total"]


def test_sid_of_the_reply_is_the_answering_models_where_the_store_has_two(service, store):
    item = store.items["i1"]
    store.items["i1"] = item | {"codes": [7] * 4, "codebook_version": "cb-newer",
                                "other_codes": item["codes"], "other_codebook": item["codebook_version"]}
    store.items["i2"] |= {"codebook_version": "cb-newer"}
    first, second = sorted(service.rank("u0", ["i1", "i2"]).items, key=lambda item: item.item_id)
    assert (first.sid, first.codebook_version) == ([1, 2, 3, 4], "cb-2026-01-01")
    assert (second.sid, second.codebook_version, second.defaults) == (None, "", ["item_codes:other_codebook"])


def test_scores_are_the_rankers_own(service, tiny):
    from serving.assemble import assemble, read_rows
    from serving.export import score_in_memory

    candidates = [f"i{n}" for n in range(38)] + ["nobody"]
    reply = service.rank("u0", candidates)
    rows = read_rows(service.reader, "u0", candidates, service.clock.now_ms())
    expected = score_in_memory(tiny(), assemble(service.follower.current, rows).inputs)
    got = {item.item_id: item.ctr for item in reply.items}
    np.testing.assert_allclose([got[item] for item in candidates], expected["ctr"], rtol=0, atol=1e-6)


def test_duplicates_are_answered_once(service):
    assert sorted(item.item_id for item in service.rank("u0", ["i3", "i1", "i3", "i3"]).items) == ["i1", "i3"]


def test_unknown_user_and_items_are_answered_with_defaults(service):
    reply = service.rank("nobody", ["nothing"])
    assert reply.degraded == ""
    assert reply.user_defaults == ["user_row:unknown", "history_rows:empty"]
    assert set(reply.items[0].defaults) == {
        "item_row:unknown", "item_codes:missing", "item_stats:no_maturity", "item_stats:no_published_at"}
    assert reply.items[0].sid is None


def test_asking_as_of_another_moment_changes_ages(service):
    assert service.rank("u0", ["i5"], at=NOW - timedelta(days=3)).items[0].online_days == 2


def test_equal_scores_keep_the_order_asked(service):
    assert [item.item_id for item in service.rank("u0", ["x", "a", "m"]).items] == ["x", "a", "m"]


def test_without_a_model_the_smoothed_click_rate_ranks_and_says_so(connect, serve, tmp_path):
    with serve(tmp_path / "empty") as empty:
        reply = connect(empty).rank("u0", ["i1", "nobody", "i30"])
    assert reply.degraded.startswith("model: NOT_FOUND")
    assert reply.model_version is None
    # (30 + 5) / (300 + 100), (1 + 5) / (10 + 100), 5 / 100
    assert [(item.item_id, item.score) for item in reply.items] == [
        ("i30", pytest.approx(0.0875)), ("i1", pytest.approx(6 / 110)), ("nobody", pytest.approx(0.05))]
    assert reply.items[2].defaults == ["item_stats:no_maturity", "item_stats:no_published_at"]
    assert reply.items[0].semantic_weight is None


def test_server_that_went_away_degrades_and_its_return_heals(connect, exported, serve, tmp_path, free_port, wait_until):
    root = tmp_path / "serving"
    shutil.copytree(exported.model("tiny", VERSION), root / "ranker" / str(VERSION))
    port = free_port()
    with serve(root, grpc_port=port) as first:
        service = connect(first)
        assert service.rank("u0", ["i1"]).degraded == ""
    assert service.rank("u0", ["i1"]).degraded.startswith("model: UNAVAILABLE")
    with serve(root, grpc_port=port):
        wait_until(lambda: service.rank("u0", ["i1"]).degraded == "")


def test_feature_store_that_is_down_degrades_and_still_scores(service, store, monkeypatch):
    def down(*_):
        raise EnvironmentFault("the online store does not answer")

    monkeypatch.setattr(store, "read_user", down)
    reply = service.rank("u0", ["i1", "i2"])
    assert reply.degraded == "feature store: the online store does not answer"
    assert reply.model_version == VERSION
    assert len(reply.items) == 2


@pytest.mark.parametrize("outputs", [
    {"ctr": np.array([0.5, np.nan])}, {"ctr": np.array([0.5])}, {"ctr": np.array([[0.5], [0.4]])},
    {"ctcvr": np.array([0.5, 0.4])}, {}])
def test_answer_that_is_not_a_number_a_candidate_degrades(connect, server, outputs):
    from serving.client import Prediction

    class Broken:
        def predict(self, inputs, version=None, timeout_s=None):
            return Prediction(version, outputs)

    reply = connect(server, Broken()).rank("u0", ["i1", "i2"])
    assert reply.degraded.startswith("model: INTERNAL")
    assert all(np.isfinite(item.score) for item in reply.items)


def test_requests_during_swaps_are_all_answered_by_a_model(connect, serve, export_tiny, tmp_path, wait_until):
    root = tmp_path / "serving"
    versions = [VERSION, VERSION + 1, VERSION + 2]
    export_tiny(root / "ranker" / str(versions[0]))
    seen = []
    with serve(root) as server:
        service = connect(server)

        def answering():
            seen.append(service.rank("u0", ["i1", "i2"]))
            return seen[-1].model_version

        answering()
        for bias, version in enumerate(versions[1:], 1):
            export_tiny(root / "ranker" / str(version), bias=float(bias))
            wait_until(lambda version=version: answering() == version)
    assert [reply.degraded for reply in seen if reply.degraded] == []
    assert list(dict.fromkeys(reply.model_version for reply in seen)) == versions


def test_model_of_another_contract_is_never_asked(connect, server, monkeypatch):
    import serving.served_model

    service = connect(server)
    monkeypatch.setattr(serving.served_model, "contract_hash", lambda: "0123456789ab")
    reply = service.rank("u0", ["i1"])
    assert "expects the input contract" in reply.degraded


def test_request_whose_time_is_over_after_the_read_does_not_ask_the_model(service, store, monkeypatch):
    read_items = store.read_items
    monkeypatch.setattr(store, "read_items", lambda ids: (time.sleep(0.03), read_items(ids))[1])
    service.follower.follow()
    service.deadline_ms = 20
    reply = service.rank("u0", ["i1", "i30"])
    assert reply.degraded == "model: DEADLINE_EXCEEDED: the 20 ms of a request were over before the model was asked"
    assert [item.item_id for item in reply.items] == ["i30", "i1"]


def test_time_that_a_request_waited_for_its_turn_is_part_of_its_deadline(service):
    from serving.ranking_request import RankRequest

    service.follower.follow()
    asked = RankRequest("u0", ["i1"])
    service.deadline_ms = 5_000
    in_time = service.answer(asked, "r1", time.perf_counter() - 1)
    too_late = service.answer(asked, "r2", time.perf_counter() - 6)
    assert (in_time.degraded, in_time.timings_ms["wait"] >= 1_000) == ("", True)
    assert "DEADLINE_EXCEEDED" in too_late.degraded


def test_model_that_hangs_costs_a_request_no_more_than_its_time_and_is_then_left_alone(connect, server, service):
    from serving.client import ModelClient

    service.follower.follow()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and never answers
        hanging = ModelClient(f"127.0.0.1:{silent.getsockname()[1]}", "ranker", 2_000)
        service.predictor, service.deadline_ms = hanging, 100
        slow = [service.rank("u0", ["i1"]) for _ in range(5)]
        at_once = service.rank("u0", ["i1"])
        hanging.close()
    assert {reply.degraded.split(": ")[1] for reply in slow} <= {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
    assert at_once.degraded.startswith("model: UNAVAILABLE: left alone after 5 faults in a row")


def test_index_that_takes_long_to_load_is_not_waited_for(service, monkeypatch):
    import serving.served_model

    loaded, load = threading.Event(), serving.served_model.ServedModel.load

    def slow(folder):
        assert loaded.wait(10)
        return load(folder)

    monkeypatch.setattr(serving.served_model.ServedModel, "load", slow)
    service.deadline_ms = 50
    assert service.rank("u0", ["i1"]).degraded.endswith("the index of the version that answers is still being loaded")
    loaded.set()
    service.follower.follow()
    service.deadline_ms = 2_000
    assert service.rank("u0", ["i1"]).degraded == ""


def test_store_that_hangs_is_left_alone_after_a_few_requests(service, store):
    from serving.connect import GuardedReader

    asked = []

    def hang(user_id):
        asked.append(user_id)
        raise EnvironmentFault("the online store does not answer")

    store.read_user = hang
    service.reader = GuardedReader(store)
    replies = [service.rank("u0", ["i1"]) for _ in range(10)]
    assert len(asked) == 5
    assert replies[4].degraded == "feature store: the online store does not answer"
    assert replies[5].degraded.startswith("feature store: left alone after 5 faults in a row, the last: the online store")
    assert {reply.model_version for reply in replies} == {VERSION}


@pytest.mark.parametrize(("user_id", "candidates", "field"), [
    ("u0", [], "candidates"), ("u0", ["i"] * 1_001, "candidates"), ("u0", ["i1", 7], "candidates[1]"), ("", ["i1"], "user_id")])
def test_call_in_the_process_is_held_to_the_rules_of_a_request(service, user_id, candidates, field):
    with pytest.raises(RequestError) as caught:
        service.rank(user_id, candidates)
    assert caught.value.field == field


def test_hanging_server_is_not_asked_by_every_request(tmp_path):
    from serving.fault import ServingFault
    from serving.served_model import ModelFollower

    asked = []

    def hang():
        asked.append(1)
        raise ServingFault("DEADLINE_EXCEEDED", "too slow")

    follower = ModelFollower(tmp_path, hang)
    for _ in range(20):
        with pytest.raises(ServingFault, match="too slow"):
            follower.follow()
    assert len(asked) == 1
