"""What the serving benchmarks run on: a filled Valkey, and for each ranker a model server in a process of its own.

The models have random weights at the paper's sizes, which costs what trained ones cost.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from features.artefacts import new_artefact
from features.clock import MS_PER_DAY, SystemClock, to_ms
from features.retrieval import FeatureStoreConfig, OnlineFeatures
from features.spec import contract_hash
from infra.ports import accepts, free_port
from infra.valkey import running_valkey

ROOT = Path(__file__).resolve().parents[2]
ITEMS, USERS, TAKES = 20_000, 1_000, 200
CODEBOOK = "cb-bench"
VERSION = 2026010101
START_SECONDS = 120
PORTS = ("GATESID_MODEL_GRPC", "GATESID_MODEL_REST", "GATESID_RANKING_API")


def ids(letter: str, count: int) -> np.ndarray:
    return np.array([f"{letter}{n}" for n in range(count)], object)


def request(random: np.random.Generator, candidates: int) -> tuple[str, list[str]]:
    chosen = random.choice(ITEMS, candidates, replace=False).tolist()
    return f"u{random.integers(USERS)}", [f"i{n}" for n in chosen]


def export(folder: Path, ranker_name: str) -> None:
    from model.config import RankerConfig
    from model.rankers.base import Base
    from model.rankers.gatesid import GateSid
    from model.rankers.trunk import TableSizes
    from serving.entity_index import EntityIndex
    from serving.export import fill

    kind = {"base": Base, "gatesid": GateSid}[ranker_name]
    ranker = kind(RankerConfig(ranker=ranker_name), TableSizes(ITEMS + 2, USERS + 2)).build_tables()
    with new_artefact(folder, kind="model", version=VERSION, ranker=ranker_name, codebook_version=CODEBOOK,
                      contract_hash=contract_hash()) as draft:
        fill(draft, ranker, EntityIndex(ids("i", ITEMS), np.arange(2, ITEMS + 2)),
             EntityIndex(ids("u", USERS), np.arange(2, USERS + 2)))


def fill_store(online: OnlineFeatures, random: np.random.Generator, at: datetime) -> None:
    now, items, users = to_ms(at), ids("i", ITEMS), ids("u", USERS)
    online.apply()
    exposure = random.integers(0, 5_000, ITEMS)
    online.push_maturity(items, np.full(ITEMS, now - 10_000), exposure, exposure // 20)
    online.push_semantic_ids(items, random.integers(0, 256, (ITEMS, 4)), CODEBOOK, now - MS_PER_DAY)
    published = now - random.integers(0, 500, ITEMS) * MS_PER_DAY
    online.push_profiles(items, published, [f"Item number {n}" for n in range(ITEMS)], now)
    times = np.sort(now - random.integers(1, 90 * MS_PER_DAY, (USERS, TAKES)), axis=1)
    online.push_user_history(users, items[random.integers(0, ITEMS, (USERS, TAKES))].tolist(), times.tolist(), now)


@contextmanager
def running(module: str, environ: dict[str, str], address: str) -> Iterator[int]:
    """A process of this project and its pid, from when it accepts connections until the block is left."""
    log = Path(environ["GATESID_HOME"]) / f"{module}.log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", module], env=environ, cwd=ROOT, stdout=out, stderr=out)
        try:
            end = time.monotonic() + START_SECONDS
            while not accepts(address):
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"{module} did not start: {log.read_text()}")
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def serving_stack(rankers: Sequence[str], random: np.random.Generator) -> Iterator[dict[str, dict[str, str]]]:
    """ranker → the environment of a process that talks to its model server; all read the same online store."""
    scratch = ROOT / "var" / "bench"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, ExitStack() as stack:
        valkey = stack.enter_context(running_valkey(Path(folder) / "valkey"))
        environs = {}
        for ranker in rankers:
            home = Path(folder) / ranker
            fill_store(OnlineFeatures(FeatureStoreConfig(home, valkey)), random, SystemClock().now())
            export(home / "serving" / "ranker" / str(VERSION), ranker)
            ports = {name: f"127.0.0.1:{free_port()}" for name in PORTS}
            environs[ranker] = os.environ | ports | {"GATESID_HOME": str(home), "GATESID_VALKEY": valkey}
            stack.enter_context(running("serving.model_server", environs[ranker], ports["GATESID_MODEL_GRPC"]))
        yield environs
