"""The local stack: started in order, left out with a reason, stopped exactly; with small processes in the services' place."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from features.errors import EnvironmentFault
from infra import local_stack
from infra.ports import accepts, is_free
from infra.processes import start_process, stop_process
from infra.services import Launch, Service
from infra.settings import load_settings
from infra.stack_state import read_records

ROOT = Path(__file__).resolve().parents[2]
SERVER = (
    "import socket, sys, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
    "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print('listening', flush=True)\n"
    "while True: s.accept()")


def listener(name, address, **options):
    """A service that only listens on its port."""
    def port(settings):
        return getattr(settings.addresses, address).rsplit(":", 1)[1]

    return Service(name, (address,), lambda settings: Launch([sys.executable, "-c", SERVER, port(settings)]),
                   lambda settings: accepts(getattr(settings.addresses, address)), within_s=20, **options)


@pytest.fixture
def stack(monkeypatch):
    """stack(services) puts them in the place of the real ones."""
    def use(*services):
        monkeypatch.setattr(local_stack, "SERVICES", services)
        monkeypatch.setattr(local_stack, "BY_NAME", {service.name: service for service in services})

    return use


@pytest.fixture
def settings(tmp_path, free_port):
    names = ("KAFKA", "KAFKA_CONTROLLER", "VALKEY", "MODEL_GRPC", "MODEL_REST", "RANKING_API", "STREAM_METRICS", "AIRFLOW")
    settings = load_settings({"GATESID_HOME": str(tmp_path), **{f"GATESID_PORTS__{name}": str(free_port()) for name in names}})
    yield settings
    local_stack.stop(settings=settings)


def test_services_come_up_in_order_and_their_addresses_are_written_down(stack, settings, capsys):
    order = []
    stack(listener("second", "valkey", after=("first",), settled=lambda settings: order.append("second")),
          listener("first", "kafka", settled=lambda settings: order.append("first")))
    given = local_stack.start(settings=settings)
    assert order == ["first", "second"]
    assert accepts(given.addresses.kafka)
    written = json.loads((settings.run_dir / "addresses.json").read_text())
    assert written["kafka"] == given.addresses.kafka == settings.addresses.kafka
    assert [row.state for row in local_stack.status(given)] == ["healthy", "healthy"]
    assert given.addresses.valkey in capsys.readouterr().out


def test_a_second_start_leaves_alone_what_runs(stack, settings):
    stack(listener("first", "kafka"))
    local_stack.start(settings=settings)
    before = read_records(settings.run_dir)
    local_stack.start(settings=settings)
    assert read_records(settings.run_dir) == before


def test_a_taken_port_is_replaced_by_a_free_one(stack, settings, tmp_path):
    port = settings.addresses.kafka.rsplit(":", 1)[1]
    holder = start_process([sys.executable, "-c", SERVER, port], tmp_path / "holder.log")
    try:
        while is_free("127.0.0.1", int(port)):
            time.sleep(0.02)
        stack(listener("first", "kafka"))
        given = local_stack.start(settings=settings)
        assert given.addresses.kafka != settings.addresses.kafka
        assert accepts(given.addresses.kafka)
    finally:
        stop_process(holder)


def test_a_service_that_lacks_something_is_left_out_with_the_reason(stack, settings, capsys):
    stack(listener("first", "kafka", missing=lambda settings: "no model yet: run it"), listener("second", "valkey"))
    local_stack.start(settings=settings)
    assert "first            left out: no model yet: run it" in capsys.readouterr().out
    assert [row.state for row in local_stack.status(settings)] == ["down", "healthy"]


def test_a_service_that_fails_is_reported_with_the_end_of_its_log_and_the_rest_runs_on(stack, settings):
    failing = Service("failing", (), lambda settings: Launch([sys.executable, "-c", "raise SystemExit('no such table')"]),
                      lambda settings: False, after=("first",))
    stack(listener("first", "kafka"), failing)
    with pytest.raises(EnvironmentFault, match="failing ended before it was healthy(.|\n)*no such table"):
        local_stack.start(settings=settings)
    assert [row.state for row in local_stack.status(settings)] == ["healthy", "ended"]


def test_an_unknown_service_is_refused_with_the_known_ones(stack, settings):
    stack(listener("first", "kafka"))
    with pytest.raises(EnvironmentFault, match="unknown service frist; expected some of: first"):
        local_stack.start(["frist"], settings)


def test_stop_ends_only_what_was_asked_for_and_only_what_was_started(stack, settings, tmp_path):
    stack(listener("first", "kafka"), listener("second", "valkey"))
    bystander = start_process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "bystander.log")
    given = local_stack.start(settings=settings)
    assert local_stack.stop(["second"], given) == ["second"]
    assert accepts(given.addresses.kafka)
    assert local_stack.stop(settings=given) == ["first"]
    assert not accepts(given.addresses.kafka)
    assert not (settings.run_dir / "addresses.json").exists()
    assert local_stack.stop(settings=given) == []
    os.kill(bystander.pid, 0)
    stop_process(bystander)


def test_a_service_killed_from_outside_is_seen_and_started_again(stack, settings):
    stack(listener("first", "kafka"))
    local_stack.start(settings=settings)
    pid = read_records(settings.run_dir)["first"].process.pid
    os.kill(pid, signal.SIGKILL)
    while local_stack.status(settings)[0].state != "ended":
        time.sleep(0.02)
    local_stack.start(settings=settings)
    assert local_stack.status(settings)[0].state == "healthy"
    assert read_records(settings.run_dir)["first"].process.pid != pid


def test_stop_works_after_the_starter_was_killed(tmp_path, free_port):
    environ = {**os.environ, "GATESID_HOME": str(tmp_path), "GATESID_PORTS__VALKEY": str(free_port())}
    script = (
        "import os; from infra import local_stack;"
        "local_stack.start(['valkey']); print('up', flush=True); os.kill(os.getpid(), 9)")
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == -9
    settings = load_settings(environ)
    assert accepts(settings.addresses.valkey)
    assert local_stack.stop(settings=settings) == ["valkey"]
    assert not accepts(settings.addresses.valkey)


def test_a_server_given_in_the_environment_is_used_and_not_started(stack, settings, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_KAFKA", "broker.example:9092")
    stack(listener("first", "kafka"), listener("second", "valkey", after=("first",)))
    environ = {"GATESID_HOME": str(settings.home), "GATESID_KAFKA": "broker.example:9092"}
    given = local_stack.start(settings=load_settings(environ))
    assert given.addresses.kafka == "broker.example:9092"
    assert "first                 given  broker.example:9092" in capsys.readouterr().out
    assert [row.state for row in local_stack.status(given)] == ["given", "healthy"]


def test_two_commands_do_not_start_the_stack_at_once(stack, settings):
    from infra.stack_state import only_one

    stack(listener("first", "kafka"))
    with only_one(settings.run_dir), pytest.raises(EnvironmentFault, match="another command is starting or stopping"):
        local_stack.start(settings=settings)
