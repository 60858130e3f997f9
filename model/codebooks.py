"""Which codebook is live, and which are no more: the two changes that a finished codebook version can see.

A version is an immutable folder; `codebooks/live.json` names the live one and is replaced by one rename; a retired version
leaves by one rename too. So a crash at any line leaves the state before or the state after. Who changes something holds
`codebooks/.lock`, which the kernel releases with the process.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.artefacts import MANIFEST, read_manifest, sync, write_json
from features.encoder import ContentEncoder
from features.errors import ArtefactError, ConfigError
from features.layout import Layout
from features.live_codebook import live_codebook_in
from features.spec import CODEBOOK_SIZE, NUM_LEVELS
from model.codebook_health import check_health
from model.codebook_uses import uses

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
LOCK, RETIRED = ".lock", ".retired-"
DAMAGED = "(live.json is damaged)"


def live_now(layout: Layout) -> str | None:
    """What a publisher sees before it starts; None: no codebook is live. A damaged file can be published over."""
    try:
        return live_codebook_in(layout.live_codebook_file)
    except ArtefactError:
        return DAMAGED


def publish(layout: Layout, version: str, seen: str | None) -> None:
    """Make a whole, verified, healthy codebook live in the place of `seen`, what `live_now` said when the caller decided.

    Raises ArtefactError: the folder is absent, half-written, altered, never judged or no codebook, another codebook became
    live since, or the disk is full; DataError: its health is beyond a limit; ConfigError: SIDs of
    other sizes than the rankers read. Then the old version stays live.
    """
    with changing(layout):
        manifest = publishable(layout, version)
        live = live_now(layout)
        if live == version:
            return
        if live != seen:
            raise ArtefactError(f"codebook {version} was not published: {live} became live meanwhile, where {seen} was seen; "
                                f"if {version} shall replace {live}, publish it again")
        write_json(layout.live_codebook_file,
                   {"version": version, "encoder": manifest["encoder"], "as_of": manifest["as_of"]})
        sync(layout.live_codebook_file.parent)


def publishable(layout: Layout, version: str) -> dict[str, Any]:
    """The manifest of a codebook that may go live. Raises as `publish` does."""
    check_name(version)
    folder = layout.codebook(version)
    manifest = read_manifest(folder, kind="codebook")
    refuse_other_sizes(*ContentEncoder.load(folder).quantiser.codebooks.shape[:2])
    if "limits" not in manifest.get("health", {}):
        raise ArtefactError(f"codebook {version} was never judged (its manifest has no health and limits): train it again")
    check_health(manifest["health"])
    return manifest


def retire(layout: Layout, version: str) -> None:
    """Delete a codebook that nothing in use refers to. Its manifest stays, in `codebooks/.retired-<version>/`: its SIDs are
    in the lake for good, so its name is never given to another codebook. Retiring it again does nothing.

    Raises ArtefactError: no such codebook, or something uses it.
    """
    check_name(version)
    folder, grave = layout.codebook(version), retired_folder(layout, version)
    with changing(layout):
        if not folder.is_dir():
            if grave.is_dir():
                return
            raise ArtefactError(f"no codebook {version} at {folder}: `gatesid codebooks list` names those there are")
        if found := [use for use in uses(layout, version) if use.holds]:
            raise ArtefactError(f"codebook {version} is in use and was not retired: {'; '.join(use.what for use in found)}. "
                                "Publish another codebook, and train, promote and materialize with it first")
        os.rename(folder, grave)
        sync(folder.parent)
        sweep(layout)


def retired_folder(layout: Layout, version: str) -> Path:
    return layout.codebook(RETIRED + version)


def retired_versions(layout: Layout) -> list[str]:
    return sorted(path.name.removeprefix(RETIRED) for path in layout.live_codebook_file.parent.glob(f"{RETIRED}*"))


def refuse_retired(layout: Layout, version: str) -> None:
    """Raises ArtefactError: a codebook of that name was retired; the lake and the stream still hold its SIDs."""
    if retired_folder(layout, version).is_dir():
        raise ArtefactError(f"codebook {version} was retired and its SIDs are still in the lake: a codebook of another day "
                            "gets another name")


@contextmanager
def changing(layout: Layout) -> Iterator[None]:
    """Alone with the codebooks. Raises ArtefactError: the disk failed, and nothing was changed."""
    folder = layout.live_codebook_file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                sweep(layout)
                yield
            except OSError:
                sweep(layout)
                raise
    except OSError as fault:
        raise ArtefactError(f"{folder} could not be changed ({fault}): make room, or allow writing, and try again") from fault


def sweep(layout: Layout) -> None:
    """Remove what a killed publisher left beside live.json, and what is still there of retired codebooks and candidates."""
    folder = layout.live_codebook_file.parent
    for beside in folder.glob(f".{layout.live_codebook_file.name}.*"):
        beside.unlink()
    for file in folder.glob(f"{RETIRED}*/*"):
        if file.name != MANIFEST:
            file.unlink()
    for version in retired_versions(layout):
        if (candidate := layout.candidate(version).home).exists():
            shutil.rmtree(candidate)


def check_name(version: str) -> None:
    if not NAME.fullmatch(version):
        raise ArtefactError(f"expected a codebook version such as cb-2026-11-22, got {version!r}")


def refuse_other_sizes(levels: int, codes: int) -> None:
    """Raises ConfigError: a SID of these sizes fits neither the tables nor the rankers' inputs."""
    if (levels, codes) != (NUM_LEVELS, CODEBOOK_SIZE):
        raise ConfigError(f"levels x codes must be {NUM_LEVELS} x {CODEBOOK_SIZE}, the shape of the rankers' inputs "
                          f"(features/spec.py), got {levels} x {codes}: it can be trained and judged (--preset), not served")
