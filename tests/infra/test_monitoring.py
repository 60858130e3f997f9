"""Dashboard and alerts name only what the stream serves, and the endpoint answers a scraper and a supervisor."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from streaming.config import StreamConfig
from streaming.metrics import Metrics
from streaming.report import STUCK_AFTER_S, Report

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "monitoring"
DASHBOARD = json.loads((FOLDER / "stream_dashboard.json").read_text())
RULES = yaml.safe_load((FOLDER / "stream_alerts.yaml").read_text())["groups"][0]["rules"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS += [(rule["alert"], rule["expr"]) for rule in RULES]
NAME = r"\bgatesid_\w+"


def served():
    """Every series name and its labels."""
    found = {}
    for metric in Metrics("maturity").registry.collect():
        kinds = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric.type, [""])
        found |= {metric.name + kind: metric for kind in kinds}
    return found


@pytest.mark.parametrize(("place", "expression"), EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])
def test_every_name_is_served(place, expression):
    names = re.findall(NAME, expression)
    assert names
    assert set(names) <= set(served())


def test_every_metric_is_on_the_dashboard():
    shown = {name for _, expression in EXPRESSIONS for name in re.findall(NAME, expression)}
    counted = {metric.name for metric in served().values()}
    assert {metric for metric in counted if not any(name.startswith(metric) for name in shown)} == set()


def test_labels_of_the_expressions_exist():
    labels = {"role", "outcome", "reason", "partition", "view", "what", "le"}
    used = {label for _, expression in EXPRESSIONS for label in re.findall(r"(\w+)!?=\"", expression)}
    used |= {label.strip() for _, e in EXPRESSIONS for group in re.findall(r"by \(([^)]*)\)", e) for label in group.split(",")}
    assert used <= labels


def test_every_alert_says_what_to_do():
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.fixture
def report(tmp_path, free_port):
    made = Report(StreamConfig(tmp_path, "nowhere:1", "redis://nowhere:1"), "maturity", address := f"127.0.0.1:{free_port()}")
    made.address = address
    return made


def get(report, path):
    try:
        with urllib.request.urlopen(f"http://{report.address}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as fault:
        return fault.code, ""


def test_ready_is_caught_up_and_nothing_away(report):
    assert get(report, "/readyz")[0] == 503
    report.ready()
    assert get(report, "/readyz")[0] == 200
    report.fault(OSError("no space left"))
    assert get(report, "/readyz")[0] == 503
    assert 'gatesid_stream_reloads_total{reason="OSError",role="maturity"} 1.0' in get(report, "/metrics")[1]


def test_a_loop_that_stands_still_is_not_alive(report):
    assert get(report, "/healthz")[0] == 200
    report.turned -= STUCK_AFTER_S
    assert get(report, "/healthz")[0] == 503
    report.due()
    assert get(report, "/healthz")[0] == 200


def test_figures_are_served_as_they_stand(report):
    progress = report.progress
    progress.outcomes.update({"counted": 5, "malformed": 2})
    progress.lag, progress.state, progress.published_tick_ms = {"p1": 7}, {"items": 3}, 12_000
    report.tell_metrics()
    progress.outcomes.update({"counted": 1})
    progress.lag = {"p2": 1}
    report.tell_metrics()
    page = get(report, "/metrics")[1]
    for line in ('events_total{outcome="counted",role="maturity"} 6.0',
                 'dead_letters_total{reason="malformed",role="maturity"} 2.0',
                 'lag_records{partition="p2",role="maturity"} 1.0', 'state_size{role="maturity",what="items"} 3.0',
                 'published_tick_seconds{role="maturity"} 12.0'):
        assert f"gatesid_stream_{line}" in page
    assert 'partition="p1"' not in page  # it went to another consumer
