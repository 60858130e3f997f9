"""Immutable folders: written beside, manifest last, published by one rename; read only when whole.

    with new_artefact(layout.codebook("cb-20261120"), kind="codebook", as_of="2026-11-20") as draft:
        np.save(draft.path / "codebooks.npy", codebooks)
        draft.manifest["rows"] = {"items": 68_260}
    # here the folder exists, complete, or not at all

A manifest holds what the run read and wrote; `files` (size and sha256 of each) is added here. A crash leaves a
`.draft-…` folder, which nobody reads and the next writer of the same name removes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import ArtefactError

MANIFEST = "manifest.json"


@dataclass
class Draft:
    path: Path
    manifest: dict[str, Any] = field(default_factory=dict)


@contextmanager
def new_artefact(target: Path, *, kind: str, **manifest: Any) -> Iterator[Draft]:
    """Write an immutable folder. Raises ArtefactError: the target exists, or the disk failed (nothing is published)."""
    if target.exists():
        raise ArtefactError(f"{kind} {target} exists and is immutable: choose another version, or delete the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Draft(target.parent / f".draft-{target.name}", {"kind": kind, **manifest})
    shutil.rmtree(draft.path, ignore_errors=True)
    draft.path.mkdir()
    try:
        yield draft
        publish(draft, target)
    except OSError as fault:
        raise ArtefactError(f"{kind} {target} was not published, nothing changed: {fault}") from fault
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)


def publish(draft: Draft, target: Path) -> None:
    draft.manifest["files"] = {
        str(path.relative_to(draft.path)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(draft.path.rglob("*")) if path.is_file()
    }
    write_json(draft.path / MANIFEST, draft.manifest)
    for path in draft.path.rglob("*"):
        sync(path)
    sync(draft.path)
    os.rename(draft.path, target)
    sync(target.parent)


def read_manifest(folder: Path, *, kind: str | None = None, verify: bool = False) -> dict[str, Any]:
    """The manifest of a whole artefact.

    Raises ArtefactError: no manifest (half-written), another kind, a file missing or of another size, or, with
    `verify`, of another sha256.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise ArtefactError(f"{folder} has no {MANIFEST}: it is absent or half-written; make it again") from None
    except ValueError as fault:
        raise ArtefactError(f"{folder / MANIFEST} is not JSON ({fault}): restore it or make the artefact again") from None
    if kind is not None and manifest.get("kind") != kind:
        raise ArtefactError(f"expected a {kind} at {folder}, found a {manifest.get('kind')}: point to another folder")
    for name, known in manifest["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != known["bytes"] or (verify and sha256(path) != known["sha256"]):
            raise ArtefactError(f"{path} is missing or altered (manifest: {known['bytes']} bytes): make the artefact again")
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Replace a small JSON file atomically: readers see the old text or the new."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, indent=1, default=str) + "\n")
    sync(beside)
    os.replace(beside, path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
