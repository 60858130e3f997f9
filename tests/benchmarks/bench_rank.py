"""How long a ranking call takes, by stage: the real online store (Valkey), the embedded model server over gRPC, GateSID.

    python tests/benchmarks/bench_rank.py [--candidates 100] [--calls 500] [--ranker gatesid]

Everything is started here and stopped again; the model has random weights at the paper's sizes, which costs what a trained one
costs. Prints one line a stage: p50, p99, mean in milliseconds; then the same over HTTP.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from features.artefacts import new_artefact  # noqa: E402
from features.clock import MS_PER_DAY, FixedClock, to_ms  # noqa: E402
from features.retrieval import FeatureStoreConfig, OnlineFeatures  # noqa: E402
from features.spec import contract_hash  # noqa: E402
from infra.valkey import running_valkey  # noqa: E402

NOW = datetime(2026, 1, 1, 18, tzinfo=UTC)
ITEMS, USERS, TAKES = 20_000, 1_000, 200
CODEBOOK = "cb-bench"


def ids(letter: str, count: int) -> np.ndarray:
    return np.array([f"{letter}{n}" for n in range(count)], object)


def export(folder: Path, ranker_name: str) -> None:
    from model.config import RankerConfig
    from model.rankers.base import Base
    from model.rankers.gatesid import GateSid
    from model.rankers.trunk import TableSizes
    from serving.entity_index import EntityIndex
    from serving.export import fill

    kind = {"base": Base, "gatesid": GateSid}[ranker_name]
    ranker = kind(RankerConfig(ranker=ranker_name), TableSizes(ITEMS + 2, USERS + 2)).build_tables()
    with new_artefact(folder, kind="model", version=int(folder.name), ranker=ranker_name, codebook_version=CODEBOOK,
                      contract_hash=contract_hash()) as draft:
        fill(draft, ranker, EntityIndex(ids("i", ITEMS), np.arange(2, ITEMS + 2)),
             EntityIndex(ids("u", USERS), np.arange(2, USERS + 2)))


def fill_store(online: OnlineFeatures, random: np.random.Generator) -> None:
    now, items, users = to_ms(NOW), ids("i", ITEMS), ids("u", USERS)
    online.apply()
    exposure = random.integers(0, 5_000, ITEMS)
    online.push_maturity(items, np.full(ITEMS, now - 10_000), exposure, exposure // 20)
    online.push_semantic_ids(items, random.integers(0, 256, (ITEMS, 4)), CODEBOOK, now - MS_PER_DAY)
    published = now - random.integers(0, 500, ITEMS) * MS_PER_DAY
    online.push_profiles(items, published, [f"Item number {n}" for n in range(ITEMS)], now)
    times = np.sort(now - random.integers(1, 90 * MS_PER_DAY, (USERS, TAKES)), axis=1)
    online.push_user_history(users, items[random.integers(0, ITEMS, (USERS, TAKES))].tolist(), times.tolist(), now)


def shown(name: str, milliseconds: list[float]) -> None:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    print(f"{name:10s} p50 {p50:7.2f}   p99 {p99:7.2f}   mean {np.mean(milliseconds):7.2f} ms")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--ranker", choices=("base", "gatesid"), default="gatesid")
    flags = parser.parse_args(argv)
    import model  # noqa: F401  (chooses the Keras version)
    from serving.client import ModelClient
    from serving.http_server import HttpServer
    from serving.model_server import ModelServer, ModelServerConfig
    from serving.rank import RankingService
    from serving.ranking_api import ApiConfig, RankingApi
    from serving.served_model import ModelFollower

    scratch = ROOT / "var" / "bench"
    scratch.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, running_valkey(Path(folder) / "valkey") as valkey:
        home = Path(folder)
        online = OnlineFeatures(FeatureStoreConfig(home, valkey))
        fill_store(online, random)
        export(home / "serving" / "ranker" / "2026010101", flags.ranker)
        with ModelServer(ModelServerConfig(home / "serving", home / "live.json"), print) as server:
            client = ModelClient(server.grpc_address, "ranker", 2_000)
            follower = ModelFollower(home / "serving" / "ranker", client.answering_version)
            service = RankingService(online, follower, client, FixedClock(NOW))

            def request() -> tuple[str, list[str]]:
                chosen = random.choice(ITEMS, flags.candidates, replace=False)
                return f"u{random.integers(USERS)}", [f"i{n}" for n in chosen]

            replies = [service.rank(*request()) for _ in range(flags.calls + 50)][50:]
            degraded = {reply.degraded for reply in replies} - {""}
            assert not degraded, [(n, r.timings_ms) for n, r in enumerate(replies) if r.degraded][:5]
            print(f"{flags.ranker}, {flags.candidates} candidates, {flags.calls} calls one after the other")
            for stage in ("read", "assemble", "predict", "reply", "total"):
                shown(stage, [reply.timings_ms[stage] for reply in replies])
            with HttpServer(RankingApi(service, ApiConfig()).app(), "127.0.0.1", 0) as api:
                shown("over HTTP", [timed_post(api.address, *request()) for _ in range(flags.calls)])
            client.close()
    return 0


def timed_post(address: str, user_id: str, candidates: list[str]) -> float:
    body = json.dumps({"user_id": user_id, "candidates": candidates}).encode()
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://{address}/v1/rank", body, timeout=5) as response:
        response.read()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
