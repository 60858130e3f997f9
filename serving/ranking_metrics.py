"""What the ranking API counts, for Prometheus."""

from collections import Counter as Tally
from itertools import chain

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.ranking_reply import RankedReply

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class RankingMetrics:
    """One registry for one application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("gatesid_rank_requests", "Ranking requests by HTTP status", ["status"], registry=registry)
        self.degraded = Counter("gatesid_rank_degraded", "Replies without model or feature store", ["part"], registry=registry)
        self.candidates = Counter("gatesid_rank_candidates", "Candidates answered", registry=registry)
        self.defaults = Counter("gatesid_rank_defaults", "Defaults, by input and reason", ["default"], registry=registry)
        self.stages = Histogram("gatesid_rank_stage_seconds", "Time by stage", ["stage"], buckets=SECONDS, registry=registry)
        self.newest_tick = Gauge(
            "gatesid_rank_newest_tick_seconds", "Newest maturity tick of the last reply, since the epoch", registry=registry)
        self.in_flight = Gauge("gatesid_rank_in_flight", "Requests worked on or waiting", registry=registry)
        self.version = Gauge("gatesid_rank_model_version", "Version that answered last; 0 = none", registry=registry)

    def observe(self, reply: RankedReply) -> None:
        self.candidates.inc(len(reply.items))
        for part in ("model", "feature store"):
            if f"{part}: " in reply.degraded:
                self.degraded.labels(part.replace(" ", "_")).inc()
        for name, count in Tally(chain(reply.user_defaults, *(item.defaults for item in reply.items))).items():
            self.defaults.labels(name).inc(count)
        if newest := max((item.maturity_tick_ms or 0 for item in reply.items), default=0):
            self.newest_tick.set(newest / 1000)
        for stage, milliseconds in reply.timings_ms.items():
            self.stages.labels(stage).observe(milliseconds / 1000)
        self.version.set(reply.model_version or 0)

    def text(self) -> bytes:
        return generate_latest(self.registry)
