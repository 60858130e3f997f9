"""Watches <root>/<model name>/<version>/ and keeps the newest good version of each model in the registry.

    seen whole (manifest) ─► accepted (contract, codebook) ─► LOADING ─► warmed up ─► AVAILABLE
                                                        the older ones: UNLOADING (drained) ─► END

A folder without its manifest is still being written and is left alone; a version that is refused or does not load is
noted with the reason and the newest good one goes on answering. A version folder that is taken away (a rollback does
that) gives way to the newest that is left; the last one loaded is kept even then.
"""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.artefacts import MANIFEST, read_manifest
from features.errors import ArtefactError, GatesidError
from serving.fault import ServingFault
from serving.golden import read_golden
from serving.loaded_model import LoadedModel
from serving.registry import END, LOADING, Registry, VersionStatus

Accept = Callable[[dict[str, Any]], None]
VERSION = re.compile(r"[1-9][0-9]{0,17}")
WARM_UP_CALLS = 3


class VersionWatcher:
    """Args:
      root: the folder of model folders.
      accept: raises a GatesidError for a manifest that must not be served.
      log: takes one line.
    """

    def __init__(
        self, root: Path, registry: Registry, accept: Accept, log: Callable[[str], None], drain_seconds: float = 30,
    ) -> None:
        self.root, self.registry, self.accept, self.log, self.drain_seconds = root, registry, accept, log, drain_seconds
        self.said: set[str] = set()
        self.broken: dict[Path, int] = {}  # folders that did not load, by the time their manifest was written

    def run(self, stop: threading.Event, interval_seconds: float = 1.0) -> None:
        while not stop.is_set():
            self.scan()
            stop.wait(interval_seconds)

    def scan(self) -> None:
        """Look once: load what is new, swap, unload what is old. Nothing that lies in a folder ends the watch."""
        for folder in sorted(self.root.glob("[!.]*/")):
            try:
                self.scan_model(folder)
            except Exception as fault:
                self.once(f"cannot look at {folder}: {fault!r}; the models in memory go on serving")

    def scan_model(self, folder: Path) -> None:
        name = folder.name
        for version in sorted(self.whole_versions(folder), reverse=True):
            loaded = self.registry.loaded_versions(name)
            if version in loaded or self.load(name, folder / str(version), version):
                for other in self.registry.loaded_versions(name):
                    if other != version:
                        self.unload(name, other)
                return

    def whole_versions(self, folder: Path) -> list[int]:
        versions = []
        for path in folder.iterdir():
            if not VERSION.fullmatch(path.name):
                continue
            if (path / MANIFEST).is_file():
                versions.append(int(path.name))
            else:
                self.once(f"{path} has no {MANIFEST}: half-written, ignored")
        return versions

    def load(self, name: str, folder: Path, version: int) -> bool:
        if folder in self.broken and self.broken[folder] == written(folder):
            return False
        try:
            self.accept(read_manifest(folder, kind="model"))
        except GatesidError as fault:  # asked again at the next look: the live codebook may have changed by then
            return self.refuse(name, version, fault)
        except (AttributeError, KeyError, TypeError) as fault:
            return self.refuse(name, version, ArtefactError(f"{folder / MANIFEST} is no model's manifest ({fault!r})"))
        self.registry.note(name, VersionStatus(version, LOADING))
        self.log(f"{name}/{version} loading")
        try:
            model = LoadedModel(folder, version)
            warm_up(model)
        except GatesidError as fault:
            self.broken[folder] = written(folder)
            return self.refuse(name, version, fault)
        self.registry.add(name, model)
        self.log(f"{name}/{version} available")
        return True

    def refuse(self, name: str, version: int, fault: GatesidError) -> bool:
        self.registry.note(name, VersionStatus(version, END, str(fault), "FAILED_PRECONDITION"))
        self.once(f"{name}/{version} refused: {fault}")
        return False

    def unload(self, name: str, version: int) -> None:
        drained = self.registry.remove(name, version, self.drain_seconds)
        self.log(f"{name}/{version} unloaded" if drained else f"{name}/{version} still in use after {self.drain_seconds} s")

    def once(self, line: str) -> None:
        if line not in self.said:
            self.said.add(line)
            self.log(line)


def written(folder: Path) -> int:
    return (folder / MANIFEST).stat().st_mtime_ns


def warm_up(model: LoadedModel) -> None:
    """Answer the golden requests before anyone asks: a first call takes ten times as long.

    Raises ArtefactError: the model has none, or does not answer them.
    """
    requests = read_golden(model.folder)
    try:
        for _ in range(WARM_UP_CALLS):
            for inputs, _ in requests:
                model.predict(inputs)
    except ServingFault as fault:
        raise ArtefactError(f"{model.folder} does not answer its golden requests ({fault}): export it again") from None
