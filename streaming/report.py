"""What a role says of itself: one line an interval, the same fields as JSON and for Prometheus; its ready file.

    maturity 1,203,334 ev | 8.2k/s | lag 1,204 (p3) | late 0.3% | dead 2 | watermark 12:03:22Z
"""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from features.artefacts import write_json
from features.clock import from_ms
from features.events import REASONS
from streaming.config import StreamConfig
from streaming.metrics import Metrics, serve

STUCK_AFTER_S = 60.0  # a loop that has not turned for so long is not alive


@dataclass
class Progress:
    """The figures of one role in one process."""

    role: str
    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # counted, repeat, late, heartbeat, unknown_item, or a reason
    reloads: Counter[str] = field(default_factory=Counter)  # of state, by reason
    pushed: Counter[str] = field(default_factory=Counter)  # rows, by view
    dead: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    state: dict[str, int] = field(default_factory=dict)  # what is kept, in numbers
    watermark_ms: int = -1
    tick_ms: int = -1
    published_tick_ms: int = -1
    began: float = field(default_factory=time.monotonic)

    def fields(self, rate: float) -> dict[str, Any]:
        return {
            "role": self.role, "records": self.records, "rate_per_s": round(rate, 1), "lag": self.lag, "dead": self.dead,
            "outcomes": dict(self.outcomes), "reloads": dict(self.reloads), "pushed": dict(self.pushed), "state": self.state,
            "watermark_ms": self.watermark_ms, "tick_ms": self.tick_ms, "published_tick_ms": self.published_tick_ms,
            "uptime_s": round(time.monotonic() - self.began, 1)}

    def line(self, rate: float) -> str:
        worst = max(self.lag, key=lambda part: self.lag[part], default="")
        late = self.outcomes["late"] / max(1, self.outcomes["counted"])
        lag = f"{sum(self.lag.values()):,}" + (f" ({worst})" if self.lag.get(worst) else "")
        mark = f"{from_ms(self.watermark_ms):%Y-%m-%d %H:%M:%SZ}" if self.watermark_ms > 0 else "none"
        return (f"{self.role} {self.records:,} ev | {rate / 1000:.1f}k/s | lag {lag} | late {late:.1%} | dead {self.dead} | "
                f"watermark {mark}")


class Report:
    """Prints, writes and serves a role's progress; keeps its ready file."""

    def __init__(self, config: StreamConfig, role: str, metrics_address: str | None = None) -> None:
        self.config = config
        self.progress = Progress(role)
        self.metrics = Metrics(role)
        self.is_ready = False
        self.said = ""
        self.told_lag: set[str] = set()
        self.printed = self.turned = time.monotonic()
        self.records_then = 0
        self.ready_file, self.progress_file = config.ready_file(role), config.progress_file(role)
        self.ready_file.parent.mkdir(parents=True, exist_ok=True)
        self.ready_file.unlink(missing_ok=True)
        if metrics_address:
            try:
                serve(metrics_address, self.metrics.registry, self.is_alive, lambda: self.is_ready)
            except OSError as fault:  # a second process of the group on this machine
                say(f"metrics endpoint {metrics_address} is not to be had ({fault}): going on without")

    def is_alive(self) -> bool:
        return time.monotonic() - self.turned < STUCK_AFTER_S

    def due(self) -> bool:
        """Whether it is time for a line; asked at every turn of the loop."""
        self.turned = time.monotonic()
        return self.turned - self.printed >= self.config.report_s

    def ready(self) -> None:
        """Assigned and caught up: say so once."""
        if not self.is_ready:
            self.ready_file.touch()
            self.is_ready, self.said = True, ""
            say(f"{self.progress.role} ready")
            self.show()

    def fault(self, fault: Exception) -> None:
        """Something is away: not ready any more. Told once, and again in every interval that it lasts."""
        self.gone()
        self.progress.reloads[type(fault).__name__] += 1
        if self.due() or str(fault) != self.said:
            self.printed, self.said = time.monotonic(), str(fault)
            say(f"{self.progress.role} waits and tries again: {type(fault).__name__}: {fault}")
        self.tell_metrics()

    def gone(self) -> None:
        self.is_ready = False
        self.ready_file.unlink(missing_ok=True)

    def show(self) -> None:
        now = time.monotonic()
        rate = (self.progress.records - self.records_then) / max(now - self.printed, 1e-3)
        self.printed, self.records_then = now, self.progress.records
        say(self.progress.line(rate))
        self.tell_metrics()
        write_json(self.progress_file, self.progress.fields(rate) | {"ready": self.is_ready})

    def tell_metrics(self) -> None:
        metrics, progress = self.metrics, self.progress
        metrics.raise_to(metrics.events, progress.outcomes)
        metrics.raise_to(metrics.dead_letters, Counter({reason: progress.outcomes[reason] for reason in REASONS}))
        metrics.raise_to(metrics.published_rows, progress.pushed)
        metrics.raise_to(metrics.reloads, progress.reloads)
        for part in self.told_lag - progress.lag.keys():
            metrics.lag.remove(progress.role, part)  # it went to another consumer, which tells of it
        self.told_lag = set(progress.lag)
        for part, lag in progress.lag.items():
            metrics.lag.labels(progress.role, part).set(lag)
        for what, size in progress.state.items():
            metrics.state.labels(progress.role, what).set(size)
        for gauge, ms in ((metrics.watermark, progress.watermark_ms), (metrics.tick, progress.tick_ms),
                          (metrics.published_tick, progress.published_tick_ms)):
            gauge.labels(progress.role).set(ms / 1000)
        metrics.ready.labels(progress.role).set(float(self.is_ready))


def say(line: str) -> None:
    """Print; a full disk under the log file must not end the process that waits for room."""
    with suppress(OSError):
        print(line, flush=True)
