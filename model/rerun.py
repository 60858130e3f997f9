"""A second run with the same inputs finds what the first one made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.artefacts import read_manifest
from features.errors import ArtefactError


def already_made(folder: Path, kind: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a whole artefact made from these inputs exists.

    Raises ArtefactError: it exists but was made from other inputs (each named), or it is altered.
    """
    if not folder.exists():
        return False
    manifest = read_manifest(folder, kind=kind, verify=True)
    other = [f"{name}: there {manifest.get(name)!r}, asked {value!r}"
             for name, value in inputs.items() if manifest.get(name) != value]
    if other:
        raise ArtefactError(f"{kind} {folder.name} exists and was made from other inputs ({'; '.join(other)}): "
                            f"delete {folder} to make it again")
    return True
