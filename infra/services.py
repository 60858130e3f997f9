"""What the local stack consists of: for each service how it is started, when it is well, and what it needs first."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra import airflow_stack, broker, valkey
from infra.health import get
from infra.ports import free_port
from infra.settings import Settings, address_from_environment

STREAM_ROLES = ("maturity", "lake", "catalog")


@dataclass(frozen=True)
class Launch:
    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


def nothing_missing(settings: Settings) -> str | None:
    return None


@dataclass(frozen=True)
class Service:
    """One process of the stack.

    addresses: the fields of `Addresses` it listens on, the first being the one to show.
    after: services that must be healthy before it starts.
    launch: writes its configuration and says how to run it.
    missing: None, or the reason why it cannot run yet and what to do; such a service is left out and said to be.
    settled: what is done once, when it has become healthy.
    """

    name: str
    addresses: tuple[str, ...]
    launch: Callable[[Settings], Launch]
    healthy: Callable[[Settings], bool]
    after: tuple[str, ...] = ()
    within_s: float = 60.0
    missing: Callable[[Settings], str | None] = nothing_missing
    settled: Callable[[Settings], None] = lambda settings: None

    def given(self) -> str | None:
        """The address of a server that runs elsewhere and stands in for this one, if one was set in the environment."""
        return address_from_environment(self.addresses[0]) if self.addresses else None


def launch_kafka(settings: Settings) -> Launch:
    host, port = settings.addresses.kafka.rsplit(":", 1)
    return Launch(broker.prepare_broker(
        settings.home / "kafka", settings.home, host, int(port), free_port(host), settings.kafka.heap_mb))


def launch_valkey(settings: Settings) -> Launch:
    host, port = settings.addresses.valkey.rsplit(":", 1)
    return Launch(valkey.prepare_valkey(settings.home / "valkey", host, int(port), settings.valkey_password))


def launch_airflow(settings: Settings) -> Launch:
    return python("infra.airflow_standalone", **airflow_stack.airflow_environment(settings))


def model_status(settings: Settings) -> int:
    return get(f"http://{settings.addresses.model_rest}/v1/models/{settings.serving.model_name}")[0]


def promoted(settings: Settings) -> bool:
    folder = settings.layout.serving / settings.serving.model_name
    return folder.is_dir() and any(version.name.isdigit() for version in folder.iterdir())


def needs_model(settings: Settings) -> str | None:
    return None if promoted(settings) else "no model is promoted yet: run `gatesid demo`, or `gatesid export` and `promote`"


def needs_codebook(settings: Settings) -> str | None:
    return None if settings.layout.live_codebook_file.is_file() else "no codebook is live yet: run `gatesid demo`"


def python(module: str, *arguments: str, **env: str) -> Launch:
    return Launch([sys.executable, "-m", module, *arguments], env)


def stream_service(role: str) -> Service:
    """A consumer; it touches <home>/run/stream-<role>.ready when its partitions are assigned and it has caught up."""
    name = f"stream-{role}"

    def launch(settings: Settings) -> Launch:
        (settings.run_dir / f"{name}.ready").unlink(missing_ok=True)
        # One address is published, the maturity consumer's; the others take any free port for their metrics.
        metrics = settings.addresses.stream_metrics if role == "maturity" else f"{settings.network.host}:{free_port()}"
        return python("streaming", "run", "--role", role, GATESID_STREAM_METRICS=metrics)

    return Service(
        name, ("stream_metrics",) if role == "maturity" else (), launch,
        healthy=lambda settings: (settings.run_dir / f"{name}.ready").is_file(),
        after=("kafka", "valkey"), within_s=120.0, missing=needs_codebook if role == "catalog" else nothing_missing)


SERVICES = (
    Service("kafka", ("kafka",), launch_kafka, lambda settings: broker.is_ready(settings.addresses.kafka),
            settled=lambda settings: broker.create_topics(settings.addresses.kafka, settings.kafka.partitions)),
    Service("valkey", ("valkey",), launch_valkey, lambda settings: valkey.is_ready(settings.addresses.valkey)),
    Service("airflow", ("airflow",), launch_airflow, airflow_stack.is_healthy, within_s=180.0),
    *(stream_service(role) for role in STREAM_ROLES),
    Service("model-server", ("model_rest", "model_grpc"), lambda settings: python("serving.model_server"),
            lambda settings: model_status(settings) == 200, missing=needs_model),
    Service("ranking-api", ("ranking_api",), lambda settings: python("serving.ranking_api"),
            lambda settings: get(f"http://{settings.addresses.ranking_api}/readyz")[0] == 200,
            after=("valkey",), missing=needs_model),  # ready once the model server is, so they start side by side
)
BY_NAME = {service.name: service for service in SERVICES}
