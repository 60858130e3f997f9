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
from infra.settings.sections import (
    SECTIONS,
    AirflowSettings,
    CoClickSettings,
    CodebookHealthSettings,
    CodebookSettings,
    DataSettings,
    FeastSettings,
    KafkaSettings,
    NetworkSettings,
    PortSettings,
    ServingSettings,
    SparkSettings,
    StreamSettings,
    SwitchSettings,
    TrainingSettings,
    ValkeySettings,
    value_faults,
)
from infra.settings.tokens import ApiToken, read_tokens

CHECKOUT = Path(__file__).resolve().parents[2]
PREFIX = "GATESID_"
TRUTH = {"true": True, "1": True, "false": False, "0": False}


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
    co_click: CoClickSettings
    training: TrainingSettings
    codebook: CodebookSettings
    codebook_health: CodebookHealthSettings
    switch: SwitchSettings
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
