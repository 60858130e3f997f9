"""The models in memory: which version answers, who is using it, and what became of each version seen.

A call leases a version; a version is unloaded only when no lease on it is left. Loading and unloading are the watcher's
(version_watcher.py); a call sees the old version or the new one, never none in between.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from serving.fault import NOT_FOUND, ServingFault
from serving.loaded_model import LoadedModel

# TF Serving's ModelVersionStatus.State.
LOADING, AVAILABLE, UNLOADING, END = "LOADING", "AVAILABLE", "UNLOADING", "END"


@dataclass(frozen=True)
class VersionStatus:
    version: int
    state: str
    error: str = ""
    error_code: str = "OK"


@dataclass
class Served:
    """What is known of one model name."""

    statuses: dict[int, VersionStatus] = field(default_factory=dict)
    loaded: dict[int, LoadedModel] = field(default_factory=dict)
    leases: dict[int, int] = field(default_factory=dict)


class Registry:
    def __init__(self) -> None:
        self.models: dict[str, Served] = {}
        self.changed = threading.Condition()

    @contextmanager
    def lease(self, name: str, version: int | None = None) -> Iterator[LoadedModel]:
        """The model, held in memory until the block is left. Raises ServingFault NOT_FOUND."""
        with self.changed:
            served = self.models.get(name) or Served()
            chosen = max(served.loaded, default=None) if version is None else version
            if chosen is None or chosen not in served.loaded:
                wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise ServingFault(NOT_FOUND, f"Servable not found for request: {wanted}")
            model = served.loaded[chosen]
            served.leases[chosen] += 1
        try:
            yield model
        finally:
            with self.changed:
                served.leases[chosen] -= 1
                self.changed.notify_all()

    def statuses(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Newest first. Raises ServingFault NOT_FOUND: no such model, or no such version of it."""
        with self.changed:
            served = self.models.get(name) or Served()
            found = [status for number, status in sorted(served.statuses.items(), reverse=True) if version in (None, number)]
        if not found:
            wanted = f"model {name}" if version is None else f"model {name} version {version}"
            raise ServingFault(NOT_FOUND, f"Could not find any versions of {wanted}")
        return found

    def loaded_versions(self, name: str) -> list[int]:
        with self.changed:
            return sorted(self.models[name].loaded) if name in self.models else []

    def note(self, name: str, status: VersionStatus) -> None:
        with self.changed:
            self.models.setdefault(name, Served()).statuses[status.version] = status

    def add(self, name: str, model: LoadedModel) -> None:
        """From now on this version answers, if it is the newest."""
        with self.changed:
            served = self.models.setdefault(name, Served())
            served.loaded[model.version] = model
            served.leases.setdefault(model.version, 0)
            served.statuses[model.version] = VersionStatus(model.version, AVAILABLE)

    def remove(self, name: str, version: int, drain_seconds: float) -> bool:
        """Take a version out of service, wait for its last lease, then free it.

        Returns False where calls were still under way after `drain_seconds`; the model is then left to them unfreed.
        """
        with self.changed:
            served = self.models[name]
            model = served.loaded.pop(version)
            served.statuses[version] = VersionStatus(version, UNLOADING)
            end = time.monotonic() + drain_seconds
            while served.leases[version] and (left := end - time.monotonic()) > 0:
                self.changed.wait(left)
            drained = not served.leases[version]
            served.statuses[version] = VersionStatus(version, END)
        if drained:
            model.close()
        return drained
