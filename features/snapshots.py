"""A pinned version of a Delta table as a folder of hard links, which engines without Delta can read.

The table's own folder also holds files that later versions removed; the snapshot holds exactly one version's. Links cost no
space and survive a vacuum of the table. Partition folders (`ds=…`) are kept, since their column is in no file.
"""

import os
import shutil
from pathlib import Path
from urllib.parse import unquote

from features.errors import ArtefactError
from features.layout import Layout, table_version


def pin_snapshot(layout: Layout, table: str, version: int | None = None) -> tuple[Path, int]:
    """The folder of one version's files (made if absent, by one rename) and that version, the newest by default.

    Raises ArtefactError: there is no such table or version.
    """
    source = layout.table(table)
    version = table_version(source) if version is None else version
    folder = layout.snapshot(table, version)
    if folder.is_dir():
        return folder, version
    draft = folder.with_name(f".draft-{version}-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for file in table_files(source, version):
            place = draft / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(file, place)
        os.rename(draft, folder)
    except OSError as fault:
        if not folder.is_dir():
            raise ArtefactError(f"version {version} of {source} could not be pinned at {folder}: {fault}") from fault
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder, version


def table_files(source: Path, version: int) -> list[Path]:
    """The Parquet files of one version. Raises ArtefactError: the version is not in the table's log."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        uris = DeltaTable(source, version=version).file_uris()
    except (DeltaError, FileNotFoundError) as fault:
        raise ArtefactError(f"{source} has no version {version}: {fault}") from fault
    return [Path(unquote(uri).removeprefix("file://")) for uri in uris]


def link_or_copy(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)


def drop_snapshots(layout: Layout, table: str, keep: int) -> None:
    """Remove all but the `keep` newest snapshots of a table: their links hold files that the table has given up."""
    folders = sorted((path for path in layout.snapshot(table, 0).parent.glob("[0-9]*")), key=lambda path: int(path.name))
    for folder in folders[:-keep]:
        shutil.rmtree(folder, ignore_errors=True)
