"""Which codebook is live: the one new items get their SID from and models are served with. Nothing else reads the file.

    python -m features.live_codebook        prints its version
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from features.errors import ArtefactError, GatesidError
from features.layout import Layout


def live_codebook(layout: Layout) -> str:
    """Raises ArtefactError: none was published yet, or the file is damaged."""
    version = live_codebook_in(layout.live_codebook_file)
    if version is None:
        raise ArtefactError(f"no codebook is live ({layout.live_codebook_file} is absent): publish one (`gatesid codebooks "
                            "publish V`, or `python -m model.train_rqvae … --publish`), or give --codebook V where a command "
                            "takes it")
    return version


def live_codebook_in(file: Path) -> str | None:
    """What a `codebooks/live.json` names; None: there is none. Raises ArtefactError: it is damaged."""
    try:
        version = json.loads(file.read_text())["version"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        version = None
    if not isinstance(version, str) or not version:
        raise ArtefactError(f"{file} must be JSON with a version: publish a codebook again")
    return version


def main(argv: Sequence[str] | None = None) -> int:
    from infra.settings import load_settings

    argparse.ArgumentParser(prog="python -m features.live_codebook", description="Print the version of the live codebook.",
                            epilog="example: python -m features.live_codebook").parse_args(argv)
    try:
        print(live_codebook(load_settings().layout))
    except GatesidError as fault:
        print(f"live_codebook: {fault}", file=sys.stderr)
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
