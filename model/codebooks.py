"""Make a codebook live (`codebooks/live.json`); features/live_codebook.py says which one is."""

from features.artefacts import read_manifest, write_json
from features.encoder import ContentEncoder
from features.layout import Layout


def publish(layout: Layout, version: str) -> None:
    """Make a whole, verified codebook live, by one atomic replacement; readers see the old version or the new.

    Raises ArtefactError: the folder is absent, half-written, altered or no codebook; then the old version stays live.
    """
    folder = layout.codebook(version)
    manifest = read_manifest(folder, kind="codebook")
    ContentEncoder.load(folder)
    write_json(layout.live_codebook_file, {"version": version, "encoder": manifest["encoder"], "as_of": manifest["as_of"]})
