"""Put an exported model where the model server looks, after it has answered its golden requests.

    python -m serving.promote --ranker gatesid --version 2026112001 [--rollback]     → serving/<model name>/2026112001

Refused with nothing changed: an altered export, another input contract, another codebook than the live one, scores that
differ from the golden ones by more than 1e-6, a disk that fills up. The copy appears by one rename.

The highest version number serves. Promoting a lower one is refused, lest a repeated run of an older day took the newest
model away; with --rollback it is done, and the higher ones leave the folder (their exports stay).
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from features.artefacts import MANIFEST, new_artefact, read_manifest
from features.errors import ArtefactError, EnvironmentFault, GatesidError
from features.layout import Layout
from features.live_codebook import live_codebook_in
from infra.settings import load_settings
from serving.compatibility import check_compatible
from serving.export import MODEL_KIND, check_exported


def promote(layout: Layout, model_name: str, ranker: str, version: int, rollback: bool = False) -> Path:
    """The promoted folder. Raises ArtefactError or CodebookMismatch: refused, nothing changed."""
    source = layout.model(ranker, version)
    target = layout.serving / model_name / str(version)
    manifest = checked(source, target, live_codebook_in(layout.live_codebook_file))
    newer = newer_than(target)
    if newer and not rollback and not target.exists():
        raise ArtefactError(f"{newer[-1]} is newer than {version} and serves: to go back to {version}, add --rollback")
    copy(source, target, manifest)
    if rollback:
        withdraw(newer, target)
    return target


def checked(source: Path, target: Path, live: str | None) -> dict[str, Any]:
    """The manifest of an export that may be copied to `target` where the codebook `live` is. Raises as `promote` does."""
    manifest = read_manifest(source, kind=MODEL_KIND, verify=True)
    check_compatible(manifest, live)
    if target.exists():
        check_same(target, manifest)
    else:
        check_exported(source)
    return manifest


def newer_than(target: Path) -> list[Path]:
    """The promoted versions with a higher number, lowest first."""
    versions = [path for path in target.parent.glob("[1-9]*") if path.name.isdigit() and int(path.name) > int(target.name)]
    return sorted(versions, key=lambda path: int(path.name))


def check_same(target: Path, manifest: dict[str, Any]) -> None:
    served = read_manifest(target, kind=MODEL_KIND)
    if served["files"] != manifest["files"]:
        raise ArtefactError(f"{target} holds another model ({served.get('ranker')}): export again to get a version of its own")


def copy(source: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Copy beside the target, then rename; on failure nothing is left. A target that is there is the same model."""
    if target.exists():
        return
    kept = {name: value for name, value in manifest.items() if name not in ("files", "kind")}
    with new_artefact(target, kind=MODEL_KIND, **kept) as draft:
        try:
            shutil.copytree(source, draft.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        except shutil.Error as fault:  # an OSError that holds a list of faults, one for each file
            raise ArtefactError(f"{target} was not published, nothing changed: {fault.args[0][0][2]}") from fault


def withdraw(folders: list[Path], target: Path) -> None:
    for folder in folders:
        try:
            # The manifest goes first: from then on the folder counts as half-written.
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder)
        except OSError as fault:
            raise EnvironmentFault(f"{target} is promoted, but {folder} cannot be removed ({fault}) and would go on serving: "
                                   "remove it") from fault


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m serving.promote", description="Let the model server answer with an exported model.")
    parser.add_argument("--ranker", required=True, help="base or gatesid")
    parser.add_argument("--version", required=True, type=int, help="YYYYMMDDNN, as serving.export printed it")
    parser.add_argument("--rollback", action="store_true", help="take higher versions out of service")
    flags = parser.parse_args(argv)
    try:
        settings = load_settings()
        target = promote(settings.layout, settings.serving.model_name, flags.ranker, flags.version, flags.rollback)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
