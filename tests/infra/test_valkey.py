"""The Valkey server of the wheel: up, and with its data after a kill."""

import os
import signal
import time

import redis

from infra.ports import free_port
from infra.processes import is_running, running_process, wait_until
from infra.valkey import is_ready, prepare_valkey


def client(address, **options):
    host, port = address.rsplit(":", 1)
    return redis.Redis(host=host, port=int(port), **options)


def test_a_server_answers_on_loopback_alone(valkey):
    assert is_ready(valkey)
    assert client(valkey, decode_responses=True).config_get("bind") == {"bind": "127.0.0.1"}


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    port = free_port()
    address, log = f"127.0.0.1:{port}", tmp_path / "log"
    command = prepare_valkey(tmp_path / "valkey", "127.0.0.1", port)
    with running_process(command, log) as process:
        wait_until(lambda: is_ready(address), process, "valkey", log, 30)
        client(address).set("kept", "value")
        time.sleep(1.2)  # the file is synced once a second
        os.kill(process.pid, signal.SIGKILL)
        while is_running(process):
            time.sleep(0.02)
    with running_process(command, log) as process:
        wait_until(lambda: is_ready(address), process, "valkey", log, 30)
        assert client(address).get("kept") == b"value"


def test_a_password_is_asked_for_and_stays_out_of_the_command_line(tmp_path):
    port = free_port()
    address, log = f"127.0.0.1:{port}", tmp_path / "log"
    command = prepare_valkey(tmp_path / "valkey", "127.0.0.1", port, password="a secret word")
    assert not any("secret" in part for part in command)
    assert (tmp_path / "valkey" / "valkey.conf").stat().st_mode & 0o077 == 0
    with running_process(command, log) as process:
        wait_until(lambda: is_ready(address), process, "valkey", log, 30)
        assert client(address, password="a secret word").ping()
