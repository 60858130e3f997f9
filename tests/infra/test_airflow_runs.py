"""Questions to an Airflow that is busy are asked again; orders and refusals are not."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from features.errors import EnvironmentFault
from infra import airflow_runs
from infra.settings import load_settings


@pytest.fixture
def airflow(tmp_path, monkeypatch):
    """(client, answers to come, questions asked) of a stand-in server."""
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("content-length", 0)))
            code, body = answers.pop(0)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_GET

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(airflow_runs, "POLL_S", 0.01)
    home = tmp_path / "airflow"
    home.mkdir()
    (home / "simple_auth_manager_passwords.json.generated").write_text('{"admin": "secret"}')
    answers.append((201, {"access_token": "t"}))
    settings = load_settings({"GATESID_HOME": str(tmp_path), "GATESID_AIRFLOW": f"127.0.0.1:{server.server_port}"})
    yield airflow_runs.Airflow(settings), answers, asked
    server.shutdown()


def test_a_question_that_the_server_failed_over_is_asked_again(airflow):
    client, answers, asked = airflow
    answers += [(500, "busy"), (500, "busy"), (200, {"state": "success"})]
    assert client.call("GET", "/run") == {"state": "success"}
    assert asked[1:] == ["GET /run"] * 3


def test_an_order_is_given_once(airflow):
    client, answers, asked = airflow
    answers.append((500, "busy"))
    with pytest.raises(airflow_runs.Unanswered):
        client.call("POST", "/run", {})
    assert asked[1:] == ["POST /run"]


def test_a_refusal_is_final_and_silence_is_not_waited_for_for_ever(airflow, monkeypatch):
    client, answers, asked = airflow
    answers.append((422, "no such parameter"))
    with pytest.raises(EnvironmentFault, match="422.*no such parameter"):
        client.call("GET", "/run")
    monkeypatch.setattr(airflow_runs, "SILENT_S", 0.05)
    answers += [(500, "busy")] * 50
    with pytest.raises(airflow_runs.Unanswered):
        client.call("GET", "/run")
    assert len(asked) > 3
