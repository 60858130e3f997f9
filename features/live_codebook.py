"""Which codebook is live: the one new items get their SID from and models are served with.

    python -m features.live_codebook        prints its version
"""

import argparse
import json
import sys
from collections.abc import Sequence

from features.errors import ArtefactError, GatesidError
from features.layout import Layout


def live_codebook(layout: Layout) -> str:
    """Raises ArtefactError: none was published yet, or the file is damaged."""
    file = layout.live_codebook_file
    try:
        return str(json.loads(file.read_text())["version"])
    except FileNotFoundError:
        raise ArtefactError(f"no codebook is live ({file} is absent): run `python -m model.train_rqvae … --publish`") from None
    except (ValueError, KeyError, TypeError):
        raise ArtefactError(f"{file} must be JSON with a version: publish a codebook again") from None


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
