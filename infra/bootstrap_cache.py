"""What a bootstrap made, kept for the next demo of the same data, days, settings and code.

    <home>/cache/bootstrap/<key>/       the folders of KEPT as the bootstrap left them; one is kept, the newest

The key is a hash of everything that the bootstrap reads, so a changed line of a job, a setting or a row of data computes it
again. `gatesid demo --fresh` does so in any case.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from infra.settings import CHECKOUT, Settings

# Everything that the bootstrap writes but the online store and Airflow's own record.
KEPT = ("lake", "lake_snapshots", "encoders", "codebooks", "maturity_state", "checkpoints", "predictions", "reports", "runs",
        "data_docs")
# What it depends on: the rooms it runs, and the environment.
ROOMS = ("dags", "features", "model", "spark_jobs", "infra/datasets", "infra/settings")
MACHINE = ("home", "addresses", "ports", "network", "kafka")  # settings that change no result


def key(settings: Settings, first: date, as_of: date) -> str:
    """Of data, days, settings and code; 16 hexadecimal digits."""
    public = {name: value for name, value in settings.public().items() if name not in MACHINE}
    manifest = settings.layout.dataset(settings.data.dataset) / "manifest.json"
    parts = [json.dumps(public, sort_keys=True, default=str), f"{first} {as_of}", manifest.read_text()]
    digest = hashlib.sha256("\n".join(parts).encode())
    for file in sources():
        digest.update(f"{file.relative_to(CHECKOUT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted(path for path in (CHECKOUT / room).rglob("*") if path.suffix in (".py", ".toml"))
    yield CHECKOUT / "requirements.txt"


def keep(settings: Settings, name: str) -> str | None:
    """Copy the state that is there now; seen whole or not at all. What was kept before goes.

    Returns why it could not be kept, or None. A full disk costs the next demo its time, not this one its end.
    """
    folder = settings.home / "cache" / "bootstrap"
    shutil.rmtree(folder, ignore_errors=True)
    draft = folder / f"{name}.draft"
    try:
        for part in KEPT:
            if (settings.home / part).is_dir():
                shutil.copytree(settings.home / part, draft / part)
        os.replace(draft, folder / name)
    except OSError as fault:
        shutil.rmtree(folder, ignore_errors=True)
        return str(fault)
    return None


def restore(settings: Settings, name: str) -> bool:
    """Put back what was kept under this key; False where nothing is."""
    kept = settings.home / "cache" / "bootstrap" / name
    if not kept.is_dir():
        return False
    for part in KEPT:
        shutil.rmtree(settings.home / part, ignore_errors=True)
        if (kept / part).is_dir():
            shutil.copytree(kept / part, settings.home / part)
    return True
