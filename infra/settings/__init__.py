"""One TOML file per environment plus the process environment, resolved into frozen dataclasses.

    settings = load_settings()
    settings.layout.table("events"); settings.addresses.kafka; settings.stream.publish_interval_ms

Precedence of an address: environment variable, then what the local stack was given (<home>/run/addresses.json), then
host and port of the TOML file. Variables: GATESID_ENV (local, prod), GATESID_HOME (the state folder),
GATESID_KAFKA, GATESID_VALKEY, GATESID_MODEL_GRPC, GATESID_MODEL_REST, GATESID_RANKING_API, GATESID_STREAM_METRICS,
GATESID_AIRFLOW (host:port each), and the secrets GATESID_VALKEY_PASSWORD and GATESID_API_TOKEN (tokens.py). Any value of the
TOML file can be set for one run by GATESID_<SECTION>__<KEY>, e.g. GATESID_TRAINING__USER_DAY_SHARE=0.1.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from features.errors import ConfigError
from features.layout import Layout
from features.windows import HOUR_MS
from infra.settings.tokens import ApiToken, read_tokens

CHECKOUT = Path(__file__).resolve().parents[2]
PREFIX = "GATESID_"
TRUTH = {"true": True, "1": True, "false": False, "0": False}


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
class ServingSettings:
    model_name: str
    deadline_ms: int  # of a request: when it is over the fallback answers
    max_candidates: int
    threads: int  # requests worked on at the same time
    max_in_flight: int  # requests worked on and waiting; one more is refused with 503
    logged_share: float  # of the requests whose features are logged, by a hash of the request id


@dataclass(frozen=True)
class AirflowSettings:
    parallelism: int


@dataclass(frozen=True)
class Addresses:
    """host:port of everything another process is reached at."""

    kafka: str
    valkey: str
    model_grpc: str
    model_rest: str
    ranking_api: str
    stream_metrics: str
    airflow: str


@dataclass(frozen=True)
class Settings:
    environment: str
    home: Path
    network: NetworkSettings
    ports: PortSettings
    kafka: KafkaSettings
    valkey: ValkeySettings
    stream: StreamSettings
    spark: SparkSettings
    feast: FeastSettings
    data: DataSettings
    training: TrainingSettings
    codebook: CodebookSettings
    serving: ServingSettings
    airflow: AirflowSettings
    addresses: Addresses
    valkey_password: str | None = field(default=None, repr=False)
    api_tokens: tuple[ApiToken, ...] = field(default=(), repr=False)

    @property
    def layout(self) -> Layout:
        return Layout(self.home)

    @property
    def run_dir(self) -> Path:
        """Pids, logs and addresses of the local stack."""
        return self.home / "run"

    @property
    def valkey_url(self) -> str:
        secret = f":{quote(self.valkey_password, safe='')}@" if self.valkey_password else ""
        trusted = f"?ssl_ca_certs={quote(self.valkey.ca_file)}" if self.valkey.tls and self.valkey.ca_file else ""
        return f"redis{'s' if self.valkey.tls else ''}://{secret}{self.addresses.valkey}{trusted}"

    def public(self) -> dict[str, Any]:
        """Every value but the secrets: for manifests and the start of a process's log."""
        shown = asdict(self)
        return {k: v for k, v in shown.items() if k not in ("valkey_password", "api_tokens")}


SECTIONS = {
    "network": NetworkSettings, "ports": PortSettings, "kafka": KafkaSettings, "valkey": ValkeySettings,
    "stream": StreamSettings, "spark": SparkSettings, "feast": FeastSettings, "data": DataSettings,
    "training": TrainingSettings, "codebook": CodebookSettings, "serving": ServingSettings, "airflow": AirflowSettings,
}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Resolve the settings of this process. Raises ConfigError, which lists every fault at once."""
    environ = os.environ if environ is None else environ
    environment = environ.get("GATESID_ENV", "local")
    file = Path(__file__).parent / f"{environment}.toml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.toml")))
        raise ConfigError(f"GATESID_ENV is {environment!r}; expected one of: {known}")
    faults: list[str] = []
    values = read_toml(file)
    override(values, environ, faults)
    sections = {name: read_section(name, kind, values.pop(name, {}), faults) for name, kind in SECTIONS.items()}
    faults += [f"unknown section [{name}]" for name in values]
    faults += value_faults(sections)
    faults += missing_secrets(environment, environ)
    tokens = read_tokens(environ.get("GATESID_API_TOKEN"), faults)
    home = Path(environ.get("GATESID_HOME") or CHECKOUT / "var").resolve()
    addresses = resolve_addresses(sections, home, environ, faults) if sections["ports"] and sections["network"] else None
    if faults or addresses is None:
        raise ConfigError(f"{file.name}: " + "; ".join(faults))
    return Settings(
        environment=environment, home=home, **sections, addresses=addresses,
        valkey_password=environ.get("GATESID_VALKEY_PASSWORD"), api_tokens=tokens)


def read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{file.name} is not TOML ({fault}): mend that line") from None


def override(values: dict[str, Any], environ: Mapping[str, str], faults: list[str]) -> None:
    """Apply GATESID_<SECTION>__<KEY>."""
    for name, text in environ.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        section, key = name.removeprefix(PREFIX).lower().split("__", 1)
        if key not in values.get(section, {}):
            faults.append(f"{name} sets [{section}] {key}, which does not exist")
            continue
        kind = type(values[section][key])
        try:
            values[section][key] = TRUTH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            faults.append(f"{name} expects {kind.__name__}, got {text!r}")


def read_section(name: str, kind: type, given: dict[str, Any], faults: list[str]) -> Any:
    expected = {f.name: f.type for f in fields(kind)}
    before = len(faults)
    faults += [f"[{name}] {key} is unknown" for key in given if key not in expected]
    faults += [f"[{name}] {key} is missing" for key in expected if key not in given]
    for key, value in given.items():
        wanted = expected.get(key)
        if wanted is float and isinstance(value, int):
            given[key] = value = float(value)
        if wanted is not None and type(value) is not wanted:
            faults.append(f"[{name}] {key} expects {wanted.__name__}, got {value!r}")
    return kind(**given) if len(faults) == before else None


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
    ("training", lambda s: 0 < s.user_day_share <= 1, "user_day_share must be in (0, 1]"),
    ("training", lambda s: s.batch_size > 1, "batch_size must be at least 2"),
    ("training", lambda s: s.report_days > 0, "report_days must be positive"),
    ("codebook", lambda s: min(s.levels, s.codes, s.width) > 0, "levels, codes and width must be positive"),
    ("serving", lambda s: s.deadline_ms > 0 and s.threads > 0, "deadline_ms and threads must be positive"),
    ("serving", lambda s: 0 < s.max_candidates <= 1_000, "max_candidates must be in 1..1000"),
    ("serving", lambda s: s.max_in_flight >= s.threads, "max_in_flight must be at least threads"),
    ("serving", lambda s: 0 <= s.logged_share <= 1, "logged_share must be in [0, 1]"),
    ("airflow", lambda s: s.parallelism > 0, "parallelism must be positive"),
)


def value_faults(sections: Mapping[str, Any]) -> list[str]:
    """Of every section that could be read."""
    return [f"[{name}] {said}" for name, holds, said in RULES if sections[name] is not None and not holds(sections[name])]


def missing_secrets(environment: str, environ: Mapping[str, str]) -> list[str]:
    """Nothing but the local environment runs without its secrets."""
    needed = () if environment == "local" else ("GATESID_API_TOKEN", "GATESID_VALKEY_PASSWORD")
    return [f"{environment} needs {name} in the environment" for name in needed if not environ.get(name)]


def address_from_environment(name: str) -> str | None:
    """The address that somebody set by hand: what answers there is not the local stack's."""
    return os.environ.get(PREFIX + name.upper())


def resolve_addresses(sections: Mapping[str, Any], home: Path, environ: Mapping[str, str], faults: list[str]) -> Addresses:
    given_file = home / "run" / "addresses.json"
    given: dict[str, str] = {}
    if given_file.is_file():
        try:
            given = json.loads(given_file.read_text())
        except ValueError:
            faults.append(f"{given_file} is not JSON: delete it and start the stack again")
    host, ports = sections["network"].host, sections["ports"]
    found = {
        f.name: environ.get(PREFIX + f.name.upper()) or given.get(f.name) or f"{host}:{getattr(ports, f.name)}"
        for f in fields(Addresses)}
    faults += [
        f"the address of {name} must be host:port, got {address!r} (set by {PREFIX}{name.upper()})"
        for name, address in found.items() if not re.fullmatch(r"[^:]+:\d+", address)]
    return Addresses(**found)
