"""What every stream process is told, resolved once by __main__."""

from dataclasses import dataclass, field
from pathlib import Path

from features.layout import Layout
from features.names import TOPIC_CATALOG, TOPIC_DEAD_LETTERS, TOPIC_EVENTS
from features.windows import DEDUPE_HORIZON_MS, PUBLISH_INTERVAL_MS, check_interval


@dataclass(frozen=True)
class StreamConfig:
    home: Path
    bootstrap: str  # host:port of a Kafka broker
    valkey_url: str = field(repr=False)  # carries the password
    group: str = "gatesid-stream"
    partitions: int = 4  # of `events` and of `catalog` alike
    interval_ms: int = PUBLISH_INTERVAL_MS  # divides an hour
    dedupe_horizon_ms: int = DEDUPE_HORIZON_MS
    batch_records: int = 5_000  # records a poll, at most
    heartbeat_ms: int = 1_000  # silence of a partition after which its owner writes a heartbeat
    report_s: float = 10.0  # between progress lines
    instance: str | None = None  # static group membership: a restart under this name keeps its partitions
    valkey_cluster: bool = False  # the URL names one node of a cluster
    events_topic: str = TOPIC_EVENTS
    catalog_topic: str = TOPIC_CATALOG
    dead_letters_topic: str = TOPIC_DEAD_LETTERS

    def __post_init__(self) -> None:
        check_interval(self.interval_ms)

    @property
    def layout(self) -> Layout:
        return Layout(self.home)

    def ready_file(self, role: str) -> Path:
        """There while the role is assigned, has caught up since its start, and nothing it needs is away."""
        return self.run_file(role, "ready")

    def progress_file(self, role: str) -> Path:
        """The last progress line's fields as JSON."""
        return self.run_file(role, "json")

    def run_file(self, role: str, kind: str) -> Path:
        own = f"-{self.instance}" if self.instance else ""
        return self.home / "run" / f"stream-{role}{own}.{kind}"
