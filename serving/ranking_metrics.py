"""What the ranking API counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.rank import RankedReply

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
        self.version = Gauge("gatesid_rank_model_version", "Version that answered last; 0 = none", registry=registry)

    def observe(self, reply: RankedReply) -> None:
        self.candidates.inc(len(reply.items))
        for part in ("model", "feature store"):
            if f"{part}: " in reply.degraded:
                self.degraded.labels(part.replace(" ", "_")).inc()
        for item in reply.items:
            for name in item.defaults:
                self.defaults.labels(name).inc()
        for name in reply.user_defaults:
            self.defaults.labels(name).inc()
        for stage, milliseconds in reply.timings_ms.items():
            self.stages.labels(stage).observe(milliseconds / 1000)
        self.version.set(reply.model_version or 0)

    def text(self) -> bytes:
        return generate_latest(self.registry)
