"""Which code made a figure: the commit, and a hash of the sources that any figure depends on."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "model")


@cache
def source_hash() -> str:
    """Twelve hex digits over every module of these rooms: it also tells uncommitted changes apart."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (CHECKOUT / room).rglob("*.py")):
        digest.update(path.relative_to(CHECKOUT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def commit() -> str | None:
    """The commit of the checkout, None where the sources came without git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
