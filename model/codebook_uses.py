"""What refers to a codebook version: read from live.json and the manifests of models, checkpoints and materialisation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.artefacts import MANIFEST
from features.errors import ArtefactError
from features.layout import Layout
from features.live_codebook import live_codebook_in
from features.names import TABLE_SEMANTIC_IDS


@dataclass(frozen=True)
class Use:
    """`what` is named for a person. `holds`: the codebook must stay; an export that is not served holds nothing."""

    what: str
    holds: bool = True


def uses(layout: Layout, version: str) -> list[Use]:
    """Everything that refers to this version, what holds it first.

    Raises ArtefactError: a manifest that cannot be read might refer to it.
    """
    found = [Use("it is live")] if live_codebook_in(layout.live_codebook_file) == version else []
    found += [Use(f"served model {name(layout, path)}") for path in sorted(layout.serving.glob(f"*/[0-9]*/{MANIFEST}"))
              if read(path).get("codebook_version") == version]
    found += [Use(f"newest checkpoint {name(layout, path)}") for path in newest_checkpoints(layout)
              if read(path).get("codebook_version") == version]
    if materialised(layout) == version:
        found.append(Use("the online store's SIDs (the last features.materialize)"))
    found += [Use(f"exported model {name(layout, path)}", holds=False)
              for path in sorted(layout.home.glob(f"models/*/[0-9]*/{MANIFEST}"))
              if read(path).get("codebook_version") == version]
    return found


def newest_checkpoints(layout: Layout) -> Iterator[Path]:
    """The manifest of the last day of each ranker and seed: what the next night goes on from."""
    for folder in sorted(layout.home.glob("checkpoints/*/")):
        days = sorted(folder.glob(f"[0-9]*-[0-9]*-[0-9]*/{MANIFEST}"))
        if days:
            yield days[-1]


def materialised(layout: Layout) -> str | None:
    """The codebook whose SIDs were pushed to the online store last."""
    runs = [read(path) for path in layout.run_manifest("materialize", "x").parent.glob("[0-9]*.json")]
    pushed = [run for run in runs if TABLE_SEMANTIC_IDS in run.get("rows", {})]
    return max(pushed, key=lambda run: run["made_live_ms"])["codebook"] if pushed else None


def read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as fault:
        raise ArtefactError(f"{path} is not JSON ({fault}), what it uses is not known: repair or delete its folder") from None


def name(layout: Layout, manifest: Path) -> str:
    return str(manifest.parent.relative_to(layout.home))
