"""The embedded server's life: no model, swaps under load, half-written and refused folders, drains.

    v1 answers ──► v2 appears whole ──► v2 loaded, warmed ──► v2 answers, v1 drained ──► v1 unloaded
         requests go on all the time; each gets v1's or v2's scores, none fails
"""

import json
import shutil
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from features.artefacts import MANIFEST

pytestmark = pytest.mark.tf

VERSIONS = (2026010101, 2026010102, 2026010103)


@pytest.fixture(scope="module")
def models(export_tiny, tmp_path_factory):
    """Three versions that score apart, by bias 0, 1 and 2."""
    folder = tmp_path_factory.mktemp("models")
    return {version: export_tiny(folder / str(version), bias=float(n)) for n, version in enumerate(VERSIONS)}


@pytest.fixture
def publish(models, tmp_path):
    """publish(version): as promotion does, whole and by one rename, into <tmp>/serving/ranker."""
    root = tmp_path / "serving"
    (root / "ranker").mkdir(parents=True)

    def put(version):
        draft = root / "ranker" / f".draft-{version}"
        shutil.copytree(models[version], draft)
        return draft.rename(root / "ranker" / str(version))

    put.root = root
    return put


@pytest.fixture
def client_of():
    from serving.client import ModelClient

    clients = []

    def connect(server):
        clients.append(ModelClient(server.grpc_address, "ranker", 5_000))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def code_of(call, *args):
    from serving.fault import ServingFault

    with pytest.raises(ServingFault) as caught:
        call(*args)
    return caught.value.code


def test_without_a_model_it_runs_and_answers_not_found(serve, tmp_path, client_of):
    from serving.signature import default_inputs

    with serve(tmp_path / "serving") as server:
        client = client_of(server)
        assert code_of(client.predict, default_inputs(2)) == "NOT_FOUND"
        assert code_of(client.answering_version) == "NOT_FOUND"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{server.rest_address}/v1/models/ranker", timeout=5)
        assert caught.value.code == 404
        assert "Could not find any versions of model ranker" in json.load(caught.value)["error"]


def test_first_model_is_picked_up_while_it_runs(serve, publish, client_of, wait_until):
    from serving.signature import default_inputs

    with serve(publish.root) as server:
        client = client_of(server)
        assert code_of(client.answering_version) == "NOT_FOUND"
        publish(VERSIONS[0])
        wait_until(lambda: server.registry.loaded_versions("ranker") == [VERSIONS[0]])
        assert client.predict(default_inputs(2)).version == VERSIONS[0]


def test_versions_are_swapped_under_load_without_a_failed_request(serve, publish, client_of, wait_until):
    from serving.golden import read_golden

    publish(VERSIONS[0])
    inputs, expected = read_golden(publish.root / "ranker" / str(VERSIONS[0]))[2]
    seen, faults, stop = [], [], threading.Event()
    logits = np.log(expected["ctr"] / (1 - expected["ctr"]))

    def ask(client):
        while not stop.is_set():
            try:
                prediction = client.predict(inputs)
                bias = VERSIONS.index(prediction.version)
                np.testing.assert_allclose(prediction.outputs["ctr"], 1 / (1 + np.exp(-logits - bias)), atol=1e-5)
                seen.append(prediction.version)
            except Exception as fault:
                faults.append(fault)
                return

    with serve(publish.root) as server:
        threads = [threading.Thread(target=ask, args=(client_of(server),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for version in VERSIONS[1:]:
            wait_until(lambda: len(seen) > 50 or faults)
            publish(version)
            wait_until(lambda version=version: server.registry.loaded_versions("ranker") == [version])
            before = len(seen)
            wait_until(lambda before=before: len(seen) > before + 50 or faults)
        stop.set()
        for thread in threads:
            thread.join()
        statuses = [(line.version, line.state) for line in server.registry.statuses("ranker")]
    assert faults == []
    assert set(seen) == set(VERSIONS)
    assert statuses == [(VERSIONS[2], "AVAILABLE"), (VERSIONS[1], "END"), (VERSIONS[0], "END")]


def test_half_written_folder_is_ignored_and_logged_once(serve, publish, wait_until, models):
    publish(VERSIONS[0])
    half = publish.root / "ranker" / str(VERSIONS[1])
    shutil.copytree(models[VERSIONS[1]], half, ignore=shutil.ignore_patterns(MANIFEST))
    with serve(publish.root) as server:
        assert server.registry.loaded_versions("ranker") == [VERSIONS[0]]
        shutil.copy(models[VERSIONS[1]] / MANIFEST, half / MANIFEST)
        wait_until(lambda: server.registry.loaded_versions("ranker") == [VERSIONS[1]])
    assert [line for line in server.lines if "half-written" in line] == [f"{half} has no manifest.json: half-written, ignored"]


@pytest.mark.parametrize(("manifest", "reason"), [
    ({"contract_hash": "0123456789ab"}, "input contract 0123456789ab"),
    ({"codebook_version": "cb-2026-09-09"}, "trained on codebook cb-2026-09-09, live is cb-2026-01-01")])
def test_model_of_another_contract_or_codebook_is_refused_and_the_older_serves(
        serve, publish, export_tiny, manifest, reason):
    publish(VERSIONS[0])
    (publish.root.parent / "live.json").write_text('{"version": "cb-2026-01-01"}')
    export_tiny(publish.root / "ranker" / str(VERSIONS[1]), **manifest)
    with serve(publish.root) as server:
        newest, older = server.registry.statuses("ranker")
        assert (newest.state, newest.error_code, older.state) == ("END", "FAILED_PRECONDITION", "AVAILABLE")
        assert reason in newest.error
        server.stop.wait(0.3)
    assert len([line for line in server.lines if reason in line]) == 1


def test_model_refused_for_its_codebook_serves_once_that_codebook_is_live(serve, publish, wait_until):
    live = publish.root.parent / "live.json"
    live.write_text('{"version": "cb-2025-12-01"}')
    publish(VERSIONS[0])
    with serve(publish.root) as server:
        assert server.registry.loaded_versions("ranker") == []
        live.write_text('{"version": "cb-2026-01-01"}')
        wait_until(lambda: server.registry.loaded_versions("ranker") == [VERSIONS[0]])


def test_folder_with_a_broken_graph_leaves_the_older_serving(serve, publish, models):
    import hashlib

    publish(VERSIONS[0])
    broken = publish(VERSIONS[1])
    graph = broken / "saved_model.pb"
    graph.write_bytes(b"\x00" * 100)
    manifest = json.loads((broken / MANIFEST).read_text())
    manifest["files"]["saved_model.pb"] = {"bytes": 100, "sha256": hashlib.sha256(graph.read_bytes()).hexdigest()}
    (broken / MANIFEST).write_text(json.dumps(manifest))
    with serve(publish.root) as server:
        server.stop.wait(0.3)
        newest, older = server.registry.statuses("ranker")
        assert (newest.state, older.state) == ("END", "AVAILABLE")
    assert len([line for line in server.lines if "not a SavedModel that loads" in line]) == 1


@pytest.mark.parametrize(
    "manifest", ["[]", "{}", '{"kind": "model"}', "not JSON", '{"kind": "model", "files": {"x": {"bytes": 1}}}'])
def test_manifest_of_another_shape_leaves_the_older_serving(serve, publish, manifest):
    publish(VERSIONS[0])
    odd = publish.root / "ranker" / str(VERSIONS[1])
    odd.mkdir()
    (odd / MANIFEST).write_text(manifest)
    with serve(publish.root) as server:
        newest, older = server.registry.statuses("ranker")
        assert (newest.state, older.state) == ("END", "AVAILABLE")


def test_folders_that_are_no_versions_are_passed_over(serve, publish):
    publish(VERSIONS[0])
    for name in ("007", "latest", "-1", "²"):
        shutil.copytree(publish.root / "ranker" / str(VERSIONS[0]), publish.root / "ranker" / name)
    with serve(publish.root) as server:
        assert [line.version for line in server.registry.statuses("ranker")] == [VERSIONS[0]]


def test_withdrawn_version_gives_way_to_the_older(serve, publish, wait_until):
    for version in VERSIONS[:2]:
        publish(version)
    with serve(publish.root) as server:
        assert server.registry.loaded_versions("ranker") == [VERSIONS[1]]
        shutil.rmtree(publish.root / "ranker" / str(VERSIONS[1]))
        wait_until(lambda: server.registry.loaded_versions("ranker") == [VERSIONS[0]])


def test_old_version_is_freed_only_after_its_last_call(models, wait_until):
    from serving.loaded_model import LoadedModel
    from serving.registry import Registry
    from serving.signature import default_inputs

    registry = Registry()
    registry.add("ranker", LoadedModel(models[VERSIONS[0]], 1))
    removed = threading.Event()
    with registry.lease("ranker") as model:
        remover = threading.Thread(target=lambda: registry.remove("ranker", 1, 20) and removed.set())
        remover.start()
        wait_until(lambda: registry.statuses("ranker")[0].state == "UNLOADING")
        assert code_of(lambda: registry.lease("ranker").__enter__()) == "NOT_FOUND"
        assert model.predict(default_inputs(2))["ctr"].shape == (2,)
        assert not removed.is_set()
    remover.join()
    assert removed.is_set()
    assert registry.statuses("ranker")[0].state == "END"


def test_taken_port_is_said_and_nothing_stays_running(serve, tmp_path, free_port):
    import socket

    from features.errors import EnvironmentFault

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server = serve(tmp_path / "serving", rest_port=holder.getsockname()[1])
        with pytest.raises(EnvironmentFault, match="cannot listen on"):
            server.__enter__()
    assert server.stop.is_set()


def test_both_servers_bind_loopback_only(serve, tmp_path):
    with serve(tmp_path / "serving") as server:
        assert server.grpc_address.startswith("127.0.0.1:")
        assert server.rest_address.startswith("127.0.0.1:")


def test_command_serves_until_sigterm(publish, tmp_path, free_port, wait_until):
    import os
    import signal
    import subprocess
    import sys

    publish(VERSIONS[0])
    grpc_port, rest_port = free_port(), free_port()
    environ = os.environ | {"GATESID_HOME": str(tmp_path), "GATESID_MODEL_GRPC": f"127.0.0.1:{grpc_port}",
                            "GATESID_MODEL_REST": f"127.0.0.1:{rest_port}"}
    process = subprocess.Popen([sys.executable, "-m", "serving.model_server"], env=environ, stdout=subprocess.PIPE, text=True)
    try:
        said = iter(process.stdout.readline, "")
        assert any("ready: gRPC" in line for line in said)
        with urllib.request.urlopen(f"http://127.0.0.1:{rest_port}/v1/models/ranker", timeout=5) as reply:
            assert json.load(reply)["model_version_status"][0]["state"] == "AVAILABLE"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
