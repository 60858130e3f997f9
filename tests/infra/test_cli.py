"""The `gatesid` command: quick, documented, thin; a fault becomes its message and its exit code."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra import cli, rank_call, room_command

ROOT = Path(__file__).resolve().parents[2]
VERBS = [
    ("data", "prepare"), ("data", "validate"), ("demo",), ("up",), ("down",), ("status",),
    ("stream", "run"), ("stream", "status"), ("stream", "verify"), ("stream", "replay"), ("stream", "seed"),
    ("stream", "dead-letters"), ("stream", "state"), ("stream", "failure-matrix"),
    ("codebooks", "list"), ("codebooks", "show"), ("codebooks", "diff"), ("codebooks", "publish"), ("codebooks", "retire"),
    ("codebooks", "switch"),
    ("features", "audit"),
    ("train",), ("evaluate",), ("compare",), ("export",), ("promote",), ("serve",), ("rank",), ("report",)]
GROUPS = ("data", "stream", "codebooks", "features")
HEAVY = ("numpy", "pandas", "pyarrow", "tensorflow", "pyspark", "feast", "kafka", "airflow", "redis", "great_expectations")


def gatesid(*arguments, **environ):
    command = [sys.executable, "-m", "infra.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


@pytest.fixture
def calls(monkeypatch):
    """The rooms' commands that a verb would become, instead of becoming them."""
    made = []

    def room(*command):
        made.append(list(command))
        raise SystemExit(0)

    monkeypatch.setattr(room_command, "room", room)
    return made


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from typer.testing import CliRunner; from infra.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; print(*sys.modules)")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(HEAVY) & {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help_with_an_example(verb):
    shown = CliRunner().invoke(cli.app, [*verb, "--help"])
    assert shown.exit_code == 0
    assert f"Example: gatesid {' '.join(verb)}" in " ".join(shown.output.split())


def test_the_list_above_is_every_verb():
    import typer

    top = typer.main.get_command(cli.app)
    found = {(name,) for name in top.commands if name not in GROUPS}
    found |= {(group, name) for group in GROUPS for name in top.commands[group].commands}
    assert found == set(VERBS)


def test_exit_codes_are_in_the_help():
    shown = " ".join(CliRunner().invoke(cli.app, ["--help"]).output.split())
    for part in ("0 done", "1 failed", "2 bad usage", "3 bad configuration or environment", "4 bad data", "5 artefact refused"):
        assert part in shown


@pytest.mark.parametrize(("line", "command"), [
    ("train base --as-of 2026-01-02 --seed 3", "model.train_ranker --ranker base --as-of 2026-01-02 --seed 3"),
    ("train gatesid --from 2026-01-01 --as-of 2026-01-02 --codebook cb-1",
     "model.train_ranker --ranker gatesid --from 2026-01-01 --as-of 2026-01-02 --codebook cb-1"),
    ("train encoder --as-of 2026-01-02", "model.train_encoder --as-of 2026-01-02"),
    ("train base --as-of 2026-01-02 --preset small", "model.train_ranker --ranker base --as-of 2026-01-02 --preset small"),
    ("train rqvae --as-of 2026-01-02 --encoder enc-1", "model.train_rqvae --as-of 2026-01-02 --encoder enc-1"),
    ("evaluate --as-of 2026-01-02 --days 5 --seeds 1,2", "model.evaluate --as-of 2026-01-02 --days 5 --seeds 1,2"),
    ("compare --seeds 3", "model.compare --seeds 3"),
    ("compare --quick --rankers base,gatesid --from 2026-01-01 --as-of 2026-01-09 --report-days 3 --name mine --jobs 1",
     "model.compare --rankers base,gatesid --from 2026-01-01 --as-of 2026-01-09 --report-days 3 --name mine --quick --jobs 1"),
    ("export --ranker gatesid --as-of 2026-01-02", "serving.export --ranker gatesid --as-of 2026-01-02"),
    ("promote --ranker gatesid --version 2026010201", "serving.promote --ranker gatesid --version 2026010201"),
    ("serve model", "serving.model_server"),
    ("serve ranking", "serving.ranking_api"),
    ("stream run --role lake", "streaming run --role lake"),
    ("stream dead-letters replay --reason malformed", "streaming dead-letters replay --reason malformed"),
    ("stream failure-matrix --seed 7", "streaming.failure_matrix --seed 7"),
    ("stream replay own --from 2026-01-01 --as-of 2026-01-02 --speed 10",
     "streaming replay own --from 2026-01-01 --as-of 2026-01-02 --speed 10.0"),
    ("data prepare simulator --users 10", "infra.datasets prepare simulator --users 10"),
    ("data prepare simulator --events 900 --items 20", "infra.datasets prepare simulator --events 900 --items 20"),
    ("report --as-of 2026-01-02", "infra.report --as-of 2026-01-02"),
    ("report --comparison mine", "infra.report --comparison mine"),
    ("codebooks list", "model.registry list"),
    ("codebooks show cb-1 --json", "model.registry show cb-1 --json"),
    ("codebooks diff cb-1 cb-2", "model.registry diff cb-1 cb-2"),
    ("codebooks publish cb-2 --instead-of cb-1", "model.registry publish cb-2 --instead-of cb-1"),
    ("codebooks retire cb-1", "model.registry retire cb-1"),
    ("codebooks switch cb-1 --as-of 2026-11-22 --ranker gatesid --model 2026112202 --rollback",
     "serving.switch --as-of 2026-11-22 --codebook cb-1 --ranker gatesid --version 2026112202 --rollback"),
    ("demo", "infra.demo"),
])
def test_a_verb_is_the_rooms_own_command(calls, line, command):
    assert CliRunner().invoke(cli.app, line.split()).exit_code == 0
    assert calls == [command.split()]


def test_your_own_data_need_no_name_and_their_paths_are_made_absolute(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("e.csv", "i.csv"):
        (tmp_path / name).touch()
    CliRunner().invoke(cli.app, ["data", "prepare", "--events", "e.csv", "--items", "i.csv"])
    events, items = str(tmp_path / "e.csv"), str(tmp_path / "i.csv")
    assert calls == [["infra.datasets", "prepare", "own", "--events", events, "--items", items]]


def test_bad_usage_ends_with_2():
    assert gatesid("no-such-verb").returncode == 2
    assert gatesid("data", "prepare").returncode == 2
    assert gatesid("serve", "coffee").returncode == 2


def test_bad_configuration_ends_with_3_and_its_message():
    done = gatesid("status", GATESID_TRAINING__BATCH_SIZE="0")
    assert done.returncode == 3
    assert "batch_size must be at least 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_rank_without_an_api_says_how_to_start_it(free_port):
    done = gatesid("rank", "--user", "u1", "--candidates", "i1,i2", GATESID_RANKING_API=f"127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "start it with `gatesid up`" in done.stderr


REPLY = {
    "request_id": "r1", "user_id": "u1", "ranker": "gatesid", "model_version": 2026010201, "codebook_version": "cb-1",
    "degraded": "",
    "items": [{"item_id": "i2", "score": 0.25, "semantic_weight": 0.9, "online_days": 3, "exposure_7d": 40, "click_7d": 2,
               "sid": [1, 2, 3, 4], "title": "Oats"}]}


@pytest.fixture
def api():
    """host:port of a server that refuses user `nobody` and answers everybody else; keeps what it was sent."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.seen.append((self.path, body))
            refused = body["user_id"] == "nobody"
            self.send_response(400 if refused else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"error": "user_id: empty"} if refused else REPLY).encode())

        def log_message(self, *arguments):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_rank_posts_the_candidates_and_shows_the_reply_as_a_table(api):
    done = gatesid("rank", "--user", "u1", "--candidates", "i1,i2", GATESID_RANKING_API=f"127.0.0.1:{api.server_port}")
    assert done.returncode == 0
    assert api.seen == [("/v1/rank", {"user_id": "u1", "candidates": ["i1", "i2"]})]
    assert "model gatesid 2026010201" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["i2", "0.2500", "0.90", "3", "40", "2", "1-2-3-4", "Oats"]


def test_a_refused_request_shows_the_apis_words_and_ends_with_1(api):
    done = gatesid("rank", "--user", "nobody", "--candidates", "i1", GATESID_RANKING_API=f"127.0.0.1:{api.server_port}")
    assert done.returncode == 1
    assert "user_id: empty" in done.stderr


def test_a_reply_without_a_model_says_that_it_is_degraded():
    item = {**REPLY["items"][0], "semantic_weight": None, "sid": None}
    shown = rank_call.table({**REPLY, "degraded": "no model", "items": [item]})
    assert "degraded: no model" in shown
    assert shown.splitlines()[-1].split() == ["i2", "0.2500", "-", "3", "40", "2", "-", "Oats"]
