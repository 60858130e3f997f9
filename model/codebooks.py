"""Which codebook is live: the version that new items get their SID from (`codebooks/live.json`)."""

import json

from features.artefacts import read_manifest, write_json
from features.encoder import ContentEncoder
from features.errors import ArtefactError
from features.layout import Layout


def publish(layout: Layout, version: str) -> None:
    """Make a whole, verified codebook live, by one atomic replacement; readers see the old version or the new.

    Raises ArtefactError: the folder is absent, half-written, altered or no codebook; then the old version stays live.
    """
    folder = layout.codebook(version)
    manifest = read_manifest(folder, kind="codebook")
    ContentEncoder.load(folder)
    write_json(layout.live_codebook_file, {"version": version, "encoder": manifest["encoder"], "as_of": manifest["as_of"]})


def live_version(layout: Layout) -> str:
    """Raises ArtefactError: none was published, or the file is damaged."""
    try:
        return str(json.loads(layout.live_codebook_file.read_text())["version"])
    except FileNotFoundError:
        raise ArtefactError(f"no codebook is live ({layout.live_codebook_file} is absent): "
                            "run `python -m model.train_rqvae … --publish`") from None
    except (ValueError, KeyError, TypeError):
        raise ArtefactError(f"{layout.live_codebook_file} must be JSON with a version: publish a codebook again") from None
