"""Where this project's Feast store is, how it is opened, and how its definitions are deployed.

Feast is imported where it is used, because that takes seconds.
"""

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

from features.errors import ConfigError

REPO = Path(__file__).parent / "repo"
OFFLINE_STORES = {"duckdb": "features.asof_store.AsofOfflineStore", "spark": "spark"}


@dataclass(frozen=True)
class FeatureStoreConfig:
    home: Path
    online_address: str  # host:port of a server that speaks Redis' protocol
    online_password: str | None = None
    offline_store: str = "duckdb"  # or spark
    online_tls: bool = False
    online_ca_file: str = ""  # certificates to trust; "" is the system's
    online_cluster: bool = False  # the address is one node of a cluster
    read_timeout_ms: int = 1_000  # of one answer of the online store to a request

    def __post_init__(self) -> None:
        faults = []
        if self.offline_store not in OFFLINE_STORES:
            faults.append(f"offline_store must be one of {sorted(OFFLINE_STORES)}, got {self.offline_store!r}")
        if any(sign in (self.online_password or "") for sign in ",'"):
            faults.append("Feast's connection string cannot carry a password with a comma or a quote: choose another")
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def registry(self) -> Path:
        return self.home / "feast" / "registry.db"


def config_from(settings: Any) -> FeatureStoreConfig:
    """From anything that has the settings' attributes."""
    valkey, feast = settings.valkey, settings.feast
    return FeatureStoreConfig(settings.home, settings.addresses.valkey, settings.valkey_password, feast.offline_store,
                              valkey.tls, valkey.ca_file, valkey.cluster, feast.read_timeout_ms)


def feast_environment(config: FeatureStoreConfig) -> dict[str, str]:
    """The variables that features/repo/feature_store.yaml names; Feast's own commands need them in the environment."""
    options = f",password={json.dumps(config.online_password)}" if config.online_password else ""
    options += ",ssl=true" if config.online_tls else ""
    options += f",ssl_ca_certs={json.dumps(config.online_ca_file)}" if config.online_tls and config.online_ca_file else ""
    return {
        "GATESID_FEAST_REGISTRY": str(config.registry),
        "GATESID_FEAST_OFFLINE": OFFLINE_STORES[config.offline_store],
        "GATESID_FEAST_REDIS": "redis_cluster" if config.online_cluster else "redis",
        "GATESID_FEAST_ONLINE": f"{config.online_address},socket_connect_timeout=1,socket_timeout=10,retry=null{options}",
    }


def open_store(config: FeatureStoreConfig, registry: Path) -> Any:
    """A feast.FeatureStore of this project on one registry file."""
    import yaml
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    variables = feast_environment(config) | {"GATESID_FEAST_REGISTRY": str(registry)}
    text = Template((REPO / "feature_store.yaml").read_text()).substitute(variables)
    return FeatureStore(config=RepoConfig(repo_path=str(config.home), **yaml.safe_load(text)))


def deploy_definitions(config: FeatureStoreConfig) -> bool:
    """Make the registry hold the definitions of features/repo; True if that changed it. Readers see the old file or the new."""
    config.registry.parent.mkdir(parents=True, exist_ok=True)
    stamp = config.registry.with_name("definitions.sha256")
    with config.registry.with_name("apply.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = definitions_hash()
        if config.registry.is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return False
        write_registry(config)
        stamp.write_text(wanted)
        return True


def definitions_hash() -> str:
    """Of everything that decides the registry's content."""
    files = sorted(path for path in REPO.iterdir() if path.suffix in (".py", ".yaml"))
    return hashlib.sha256(metadata.version("feast").encode() + b"".join(path.read_bytes() for path in files)).hexdigest()


def write_registry(config: FeatureStoreConfig) -> None:
    """Apply every definition to a registry beside the live one, then rename it into place."""
    from features.repo import entities, services, views

    beside = config.registry.with_name(f".registry-{os.getpid()}.db")
    try:
        open_store(config, beside).apply([
            entities.item, entities.user, *services.ITEM_VIEWS, views.user_history,
            services.ranking_v1_items, services.ranking_v1_user, services.ranking_v1])
        os.replace(beside, config.registry)
    finally:
        beside.unlink(missing_ok=True)
