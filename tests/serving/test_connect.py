"""The ranking service in a Python process, from settings alone: real store, real model server, real lake."""

import shutil

import pytest
from deltalake import DeltaTable

from features.errors import RequestError
from infra.settings import load_settings

pytestmark = [pytest.mark.tf, pytest.mark.feast]


def test_service_of_an_environment_answers_logs_what_it_served_and_holds_to_the_rules(
    valkey, exported, serve, tmp_path, wait_until,
):
    from features.clock import SystemClock
    from features.retrieval import OnlineFeatures, config_from
    from serving.connect import ranking_service

    root = tmp_path / "serving"
    shutil.copytree(exported.model("tiny", 2026010101), root / "ranker" / "2026010101")
    said = []
    with serve(root) as models:
        settings = load_settings({
            "GATESID_HOME": str(tmp_path), "GATESID_VALKEY": valkey, "GATESID_MODEL_GRPC": models.grpc_address,
            "GATESID_SERVING__DEADLINE_MS": "10000", "GATESID_FEAST__READ_TIMEOUT_MS": "5000",
            "GATESID_SERVING__MAX_CANDIDATES": "3"})
        store = OnlineFeatures(config_from(settings))
        store.apply()
        store.push_maturity(["i5"], SystemClock().now_ms() - 10_000, [40], [4])
        with ranking_service(settings, said.append) as service:
            wait_until(lambda: service.follower.current)
            reply = service.rank("u1", ["i5", "nobody"], request_id="r-connect")
            with pytest.raises(RequestError, match="expected 1 to 3 item ids, got 4"):
                service.rank("u1", ["i1", "i2", "i3", "i4"])
    assert (reply.degraded, reply.model_version) == ("", 2026010101)
    assert {item.item_id: (item.exposure_7d, item.click_7d) for item in reply.items} == {"i5": (40, 4), "nobody": (0, 0)}
    logged = DeltaTable(str(settings.layout.table("served_features"))).to_pyarrow_table().to_pylist()
    assert [row["request_id"] for row in logged] == ["r-connect"]  # and no warm-up
    assert any("model tiny/2026010101 answers" in line for line in said)
