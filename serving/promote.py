"""Put an exported model where the model server looks, after it has answered its golden requests.

    python -m serving.promote --ranker gatesid --version 2026112001     → serving/<model name>/2026112001

Refused with nothing changed: an altered export, another input contract, another codebook than the live one, scores that
differ from the golden ones by more than 1e-6, a disk that fills up. The copy appears by one rename. Promoting an older
version than the one that serves takes the newer ones out of the folder (their exports stay): that is a rollback.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from features.artefacts import MANIFEST, new_artefact, read_manifest
from features.errors import ArtefactError, EnvironmentFault, GatesidError
from features.layout import Layout
from infra.settings import load_settings
from serving.compatibility import check_compatible, live_codebook
from serving.export import MODEL_KIND, check_exported


def promote(layout: Layout, model_name: str, ranker: str, version: int) -> Path:
    """The promoted folder. Raises ArtefactError or CodebookMismatch: refused, nothing changed."""
    source = layout.model(ranker, version)
    target = layout.serving / model_name / str(version)
    manifest = read_manifest(source, kind=MODEL_KIND, verify=True)
    check_compatible(manifest, live_codebook(layout.live_codebook_file))
    if target.exists():
        check_same(target, manifest)
    else:
        check_exported(source)
        copy(source, target, manifest)
    withdraw_newer(target)
    return target


def check_same(target: Path, manifest: dict[str, Any]) -> None:
    served = read_manifest(target, kind=MODEL_KIND)
    if served["files"] != manifest["files"]:
        raise ArtefactError(f"{target} holds another model ({served.get('ranker')}): export again to get a version of its own")


def copy(source: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Copy beside the target, then rename; on failure nothing is left."""
    kept = {name: value for name, value in manifest.items() if name not in ("files", "kind")}
    with new_artefact(target, kind=MODEL_KIND, **kept) as draft:
        try:
            shutil.copytree(source, draft.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        except shutil.Error as fault:  # an OSError that holds a list of faults, one for each file
            raise ArtefactError(f"{target} was not published, nothing changed: {fault.args[0][0][2]}") from fault


def withdraw_newer(target: Path) -> None:
    """TF Serving and the embedded server answer with the highest version number, so no higher one may be left."""
    for folder in target.parent.iterdir():
        if folder.name.isdigit() and int(folder.name) > int(target.name):
            try:
                # The manifest goes first: from then on the folder counts as half-written.
                (folder / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(folder)
            except OSError as fault:
                raise EnvironmentFault(f"{target} is promoted, but {folder} cannot be removed ({fault}) and would go on "
                                       "serving: remove it") from fault


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m serving.promote", description="Let the model server answer with an exported model.")
    parser.add_argument("--ranker", required=True, help="base or gatesid")
    parser.add_argument("--version", required=True, type=int, help="YYYYMMDDNN, as serving.export printed it")
    flags = parser.parse_args(argv)
    try:
        settings = load_settings()
        target = promote(settings.layout, settings.serving.model_name, flags.ranker, flags.version)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
