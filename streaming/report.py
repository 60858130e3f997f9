"""What a role says of itself: one line an interval, the same fields as JSON, and a Prometheus endpoint.

    maturity 1,203,334 ev | 8.2k/s | lag 1,204 (p3) | late 0.3% | dead 2 | watermark 12:03:22Z
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, start_http_server
from prometheus_client import Counter as PrometheusCounter

from features.artefacts import write_json
from features.clock import from_ms
from streaming.config import StreamConfig


@dataclass
class Progress:
    """The figures of one role in one process."""

    role: str
    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # counted, repeat, late, heartbeat, or a reason
    dead: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    watermark_ms: int = -1
    tick_ms: int = -1
    pushed_rows: int = 0
    began: float = field(default_factory=time.monotonic)

    def fields(self, rate: float) -> dict[str, Any]:
        return {
            "role": self.role, "records": self.records, "rate_per_s": round(rate, 1), "lag": self.lag, "dead": self.dead,
            "outcomes": dict(self.outcomes), "watermark_ms": self.watermark_ms, "tick_ms": self.tick_ms,
            "pushed_rows": self.pushed_rows, "uptime_s": round(time.monotonic() - self.began, 1)}

    def line(self, rate: float) -> str:
        worst = max(self.lag, key=lambda part: self.lag[part], default="")
        late = self.outcomes["late"] / max(1, self.outcomes["counted"])
        lag = f"{sum(self.lag.values()):,}" + (f" ({worst})" if self.lag.get(worst) else "")
        mark = f"{from_ms(self.watermark_ms):%Y-%m-%d %H:%M:%SZ}" if self.watermark_ms > 0 else "none"
        return (f"{self.role} {self.records:,} ev | {rate / 1000:.1f}k/s | lag {lag} | late {late:.1%} | dead {self.dead} | "
                f"watermark {mark}")


class Metrics:
    """The same figures for Prometheus, in a registry of their own."""

    def __init__(self, role: str) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        self.events = PrometheusCounter("gatesid_stream_events", "Records by outcome", ["role", "outcome"], registry=here)
        self.lag = Gauge("gatesid_stream_lag_records", "Records not yet read", ["role", "partition"], registry=here)
        self.watermark = Gauge("gatesid_stream_watermark_seconds", "Smallest last ingest time over the partitions "
                                                                   "held", ["role"], registry=here)
        self.tick = Gauge("gatesid_stream_tick_seconds", "Newest tick complete on all partitions held", ["role"], registry=here)
        self.push = Histogram("gatesid_stream_push_seconds", "Time of one push", ["role"], registry=here)
        self.ready = Gauge("gatesid_stream_ready", "1 when assigned and caught up once", ["role"], registry=here)
        self.role = role
        self.told: Counter[str] = Counter()

    def serve(self, address: str) -> str | None:
        """Start the endpoint; a message if the address is taken (a second process of the group on this machine)."""
        host, port = address.rsplit(":", 1)
        try:
            start_http_server(int(port), host, self.registry)
        except OSError as fault:
            return f"metrics endpoint {address} is not to be had ({fault}): going on without"
        return None

    def update(self, progress: Progress, ready: bool) -> None:
        for outcome, count in progress.outcomes.items():
            self.events.labels(self.role, outcome).inc(count - self.told[outcome])
            self.told[outcome] = count
        for part, lag in progress.lag.items():
            self.lag.labels(self.role, part).set(lag)
        self.watermark.labels(self.role).set(progress.watermark_ms / 1000)
        self.tick.labels(self.role).set(progress.tick_ms / 1000)
        self.ready.labels(self.role).set(float(ready))


class Report:
    """Prints, writes and serves a role's progress; keeps its ready file."""

    def __init__(self, config: StreamConfig, role: str, metrics_address: str | None = None) -> None:
        self.config = config
        self.progress = Progress(role)
        self.metrics = Metrics(role)
        self.is_ready = False
        self.printed = time.monotonic()
        self.records_then = 0
        config.ready_file(role).parent.mkdir(parents=True, exist_ok=True)
        config.ready_file(role).unlink(missing_ok=True)
        if metrics_address and (said := self.metrics.serve(metrics_address)):
            print(said, flush=True)

    def due(self) -> bool:
        return time.monotonic() - self.printed >= self.config.report_s

    def ready(self) -> None:
        """Assigned and caught up: say so once."""
        if not self.is_ready:
            self.is_ready = True
            self.config.ready_file(self.progress.role).touch()
            print(f"{self.progress.role} ready", flush=True)
            self.show()

    def show(self) -> None:
        now = time.monotonic()
        rate = (self.progress.records - self.records_then) / max(now - self.printed, 1e-3)
        self.printed, self.records_then = now, self.progress.records
        print(self.progress.line(rate), flush=True)
        write_json(self.config.progress_file(self.progress.role), self.progress.fields(rate) | {"ready": self.is_ready})
        self.metrics.update(self.progress, self.is_ready)
