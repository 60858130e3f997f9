"""The sections of a settings file: what each value means, and what must hold."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from features.windows import HOUR_MS


@dataclass(frozen=True)
class NetworkSettings:
    host: str  # what every server binds to


@dataclass(frozen=True)
class PortSettings:
    kafka: int
    kafka_controller: int
    valkey: int
    model_grpc: int
    model_rest: int
    ranking_api: int
    stream_metrics: int
    airflow: int


@dataclass(frozen=True)
class KafkaSettings:
    partitions: int  # of `events` and of `catalog` alike
    replication: int
    heap_mb: int


@dataclass(frozen=True)
class ValkeySettings:
    tls: bool
    ca_file: str  # certificates to trust; "" is the system's
    cluster: bool  # the address is one node of a cluster


@dataclass(frozen=True)
class StreamSettings:
    group: str
    publish_interval_ms: int  # divides an hour
    batch_records: int  # records a poll, at most
    heartbeat_ms: int  # silence of a partition after which its owner writes a heartbeat


@dataclass(frozen=True)
class SparkSettings:
    master: str
    driver_memory: str
    shuffle_partitions: int


@dataclass(frozen=True)
class FeastSettings:
    offline_store: str  # duckdb or spark
    read_timeout_ms: int  # of one answer of the online store, after which a request goes on with defaults


@dataclass(frozen=True)
class DataSettings:
    dataset: str
    history_days: int
    negatives_per_positive: int  # where a data set has no impressions of its own
    seed: int


@dataclass(frozen=True)
class CoClickSettings:
    window_hours: int  # between two takes; a day holds a basket and what was forgotten in it
    cap: int  # earlier takes that a take meets, the newest: what bounds the work
    min_support: int  # user-days with the pair among the trailing days: one sighting is what chance gives
    support_days: int  # of support and lift: four weeks, so that every weekday weighs the same
    min_lift: float  # times as often as by chance, over the trailing days: below 1 items avoid each other


@dataclass(frozen=True)
class TrainingSettings:
    user_day_share: float  # (0, 1]: share of user-days in the training frame, by hash
    batch_size: int  # paper: 4096
    seed: int
    report_days: int  # days scored for the table


@dataclass(frozen=True)
class CodebookSettings:
    levels: int  # paper: 4
    codes: int  # a level; paper: 256
    width: int  # of a code vector; paper: 64


@dataclass(frozen=True)
class CodebookHealthSettings:
    """What a codebook is judged by (model/codebook_health.py says of what); a worse one is not published."""

    min_coverage: float
    min_level_1_perplexity: float  # as a share of the codes that could be used
    max_collision_rate_contents: float
    min_explained_variance: float
    min_explained_variance_new: float
    min_neighbourhood_overlap: float


@dataclass(frozen=True)
class SwitchSettings:
    min_items_kept: float  # of the items with a SID, the share that has one in the codebook switched to
    max_auc_loss: float  # of the ranker that goes on with it, against the one in use on the same days


@dataclass(frozen=True)
class ServingSettings:
    model_name: str
    deadline_ms: int  # of a request: when it is over the fallback answers
    max_candidates: int
    threads: int  # requests worked on at the same time
    max_in_flight: int  # requests worked on and waiting in a burst; one more is refused with 503
    logged_share: float  # of the requests whose features are logged, by a hash of the request id


@dataclass(frozen=True)
class AirflowSettings:
    parallelism: int


SECTIONS = {
    "network": NetworkSettings, "ports": PortSettings, "kafka": KafkaSettings, "valkey": ValkeySettings,
    "stream": StreamSettings, "spark": SparkSettings, "feast": FeastSettings, "data": DataSettings,
    "co_click": CoClickSettings, "training": TrainingSettings, "codebook": CodebookSettings,
    "codebook_health": CodebookHealthSettings, "switch": SwitchSettings, "serving": ServingSettings, "airflow": AirflowSettings,
}

RULES = (
    # section, what must hold, what is said when it does not
    ("ports", lambda s: all(0 < port < 65_536 for port in asdict(s).values()), "every port must be in 1..65535"),
    ("kafka", lambda s: s.partitions > 0, "partitions must be positive"),
    ("kafka", lambda s: s.heap_mb >= 128, "heap_mb must be at least 128"),
    ("stream", lambda s: s.publish_interval_ms > 0 and HOUR_MS % s.publish_interval_ms == 0,
     f"publish_interval_ms must divide an hour ({HOUR_MS} ms)"),
    ("stream", lambda s: s.batch_records > 0 and s.heartbeat_ms > 0, "batch_records and heartbeat_ms must be positive"),
    ("spark", lambda s: s.shuffle_partitions > 0, "shuffle_partitions must be positive"),
    ("feast", lambda s: s.offline_store in ("duckdb", "spark"), "offline_store must be duckdb or spark"),
    ("feast", lambda s: s.read_timeout_ms > 0, "read_timeout_ms must be positive"),
    ("data", lambda s: s.history_days >= 4, "history_days must be at least 4"),
    ("data", lambda s: s.negatives_per_positive >= 0, "negatives_per_positive must not be negative"),
    ("co_click", lambda s: min(s.window_hours, s.cap, s.min_support, s.support_days) > 0 and s.min_lift >= 0,
     "window_hours, cap, min_support and support_days must be positive, min_lift not negative"),
    ("training", lambda s: 0 < s.user_day_share <= 1, "user_day_share must be in (0, 1]"),
    ("training", lambda s: s.batch_size > 1, "batch_size must be at least 2"),
    ("training", lambda s: s.report_days > 0, "report_days must be positive"),
    ("codebook", lambda s: min(s.levels, s.codes, s.width) > 0, "levels, codes and width must be positive"),
    ("codebook_health", lambda s: all(share <= 1 for share in asdict(s).values()), "a limit of a share is at most 1"),
    ("switch", lambda s: 0 <= s.min_items_kept <= 1 and 0 <= s.max_auc_loss <= 1, "both values must be in [0, 1]"),
    ("serving", lambda s: s.deadline_ms > 0 and s.threads > 0, "deadline_ms and threads must be positive"),
    ("serving", lambda s: 0 < s.max_candidates <= 1_000, "max_candidates must be in 1..1000"),
    ("serving", lambda s: s.max_in_flight >= s.threads, "max_in_flight must be at least threads"),
    ("serving", lambda s: 0 <= s.logged_share <= 1, "logged_share must be in [0, 1]"),
    ("airflow", lambda s: s.parallelism > 0, "parallelism must be positive"),
)


def value_faults(sections: Mapping[str, Any]) -> list[str]:
    """Of every section that could be read."""
    return [f"[{name}] {said}" for name, holds, said in RULES if sections[name] is not None and not holds(sections[name])]
