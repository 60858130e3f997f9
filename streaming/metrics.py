"""What Prometheus is told, and the endpoint: /metrics, /healthz (the loop turns), /readyz (assigned and caught up).

The names are watched by infra/monitoring/ (dashboard and alerts); a test holds the two together.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Gauge, Histogram, make_wsgi_app
from prometheus_client import Counter as PrometheusCounter


class Metrics:
    """The figures of one role, in a registry of their own."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.registry = CollectorRegistry()
        self.told: dict[str, Counter[str]] = {}
        self.events = self.counter("events", "Records by outcome", "outcome")
        self.dead_letters = self.counter("dead_letters", "Records buried, by reason", "reason")
        self.published_rows = self.counter("published_rows", "Rows pushed", "view")
        self.reloads = self.counter("reloads", "States loaded again, by reason: fenced, restored, or what was away", "reason")
        self.lag = self.gauge("lag_records", "Records not yet read", "partition")
        self.watermark = self.gauge("watermark_seconds", "Smallest last ingest time over the partitions held")
        self.tick = self.gauge("tick_seconds", "Newest tick complete on all partitions held")
        self.published_tick = self.gauge("published_tick_seconds", "Every row up to this tick is pushed")
        self.state = self.gauge("state_size", "What is kept: items, remembered_ids, outbox_rows, store_bytes", "what")
        self.ready = self.gauge("ready", "1 while assigned, caught up since the start, and nothing is away")
        self.push = Histogram("gatesid_stream_push_seconds", "Time of one push", ["role"], registry=self.registry).labels(role)

    def counter(self, name: str, about: str, *labels: str) -> PrometheusCounter:
        return PrometheusCounter(f"gatesid_stream_{name}", about, ["role", *labels], registry=self.registry)

    def gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"gatesid_stream_{name}", about, ["role", *labels], registry=self.registry)

    def raise_to(self, counter: PrometheusCounter, totals: Counter[str]) -> None:
        """Let a counter show these totals."""
        told = self.told.setdefault(counter._name, Counter())
        for label, total in totals.items():
            counter.labels(self.role, label).inc(total - told[label])
            told[label] = total


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """A scrape every few seconds is not worth a line."""


def serve(address: str, registry: CollectorRegistry, is_alive: Callable[[], bool], is_ready: Callable[[], bool]) -> None:
    """Start the endpoint in a thread. Raises OSError: the address is taken."""
    metrics = make_wsgi_app(registry)
    checks = {"/healthz": is_alive, "/readyz": is_ready}

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        check = checks.get(environ["PATH_INFO"])
        if check is None:
            return metrics(environ, start_response)
        holds = check()
        start_response("200 OK" if holds else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"yes\n" if holds else b"no\n"]

    host, port = address.rsplit(":", 1)
    server = make_server(host, int(port), answer, Server, Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
