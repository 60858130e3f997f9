"""How long a ranking call takes, by stage, in the process and over HTTP: GateSID against Base, our read against Feast's.

    python tests/benchmarks/bench_rank.py [--candidates 200] [--calls 500]

Real online store (Valkey), embedded model servers over gRPC, users with 50 items of history; all started here and stopped
again. What is compared is asked in turn, call by call, so that a busy machine slows both alike.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

import numpy as np  # noqa: E402
from open_loop import LoadClient  # noqa: E402
from serving_stack import request, serving_stack  # noqa: E402

RANKERS = ("gatesid", "base")
STAGES = ("read", "assemble", "predict", "reply", "total")
WARM_UP = 50


def shown(name: str, milliseconds: list[float]) -> None:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    print(f"{name:22s} p50 {p50:7.2f}   p99 {p99:7.2f}   mean {np.mean(milliseconds):7.2f} ms")


def taken_ms(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def in_process(services: dict[str, Any], calls: int, ask: Callable[[], tuple[str, list[str]]]) -> None:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    degraded = 0
    for call in range(-WARM_UP, calls):
        for ranker, service in services.items():
            reply = service.rank(*ask())
            if call >= 0:
                degraded += bool(reply.degraded)
                for stage, milliseconds in reply.timings_ms.items():
                    times[ranker, stage].append(milliseconds)
    for ranker in services:
        for stage in STAGES:
            shown(f"{ranker} {stage}", times[ranker, stage])
    p99 = {ranker: np.percentile(times[ranker, "total"], 99) for ranker in services}
    print(f"gatesid - base at p99: {p99['gatesid'] - p99['base']:.2f} ms; degraded replies: {degraded}")


def over_http(service: Any, calls: int, ask: Callable[[], tuple[str, list[str]]]) -> None:
    from serving.http_server import HttpServer
    from serving.ranking_api import ApiConfig, RankingApi

    def body() -> bytes:
        user_id, candidates = ask()
        return json.dumps({"user_id": user_id, "candidates": candidates}).encode()

    async def in_turn(client: LoadClient) -> tuple[list[float], list[float]]:
        await client.one_after_the_other(WARM_UP)
        inside, outside = [], []
        for _ in range(calls):
            inside.append(taken_ms(lambda: service.rank(*ask())))
            outside += (await client.one_after_the_other(1)).accepted
        client.close()
        return inside, outside

    with HttpServer(RankingApi(service, ApiConfig(), lambda record: None).app(), "127.0.0.1", 0) as api:
        inside, outside = asyncio.run(in_turn(LoadClient(api.address, "/v1/rank", body)))
    shown("in the process", inside)
    shown("over HTTP", outside)
    p50, p99 = np.percentile(outside, [50, 99]) - np.percentile(inside, [50, 99])
    print(f"HTTP adds {p50:.2f} ms at p50, {p99:.2f} ms at p99")


def against_feast(online: Any, calls: int, ask: Callable[[], tuple[str, list[str]]]) -> None:
    from features.repo.services import ranking_v1_items

    ours, feasts = [], []
    for call in range(-5, calls):
        _, candidates = ask()
        our_ms = taken_ms(lambda: online.read_items(candidates))  # noqa: B023
        feasts_ms = taken_ms(lambda: online.store.get_online_features(
            ranking_v1_items, {"item_id": candidates}, full_feature_names=True).to_dict())  # noqa: B023
        if call >= 0:
            ours.append(our_ms)
            feasts.append(feasts_ms)
    shown("our read", ours)
    shown("get_online_features", feasts)
    print(f"ratio of the medians {np.median(ours) / np.median(feasts):.3f}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--calls", type=int, default=500)
    flags = parser.parse_args(argv)
    import model  # noqa: F401  (chooses the Keras version)
    from infra.settings import load_settings
    from serving.connect import ranking_service

    random = np.random.default_rng(1)

    def ask() -> tuple[str, list[str]]:
        return request(random, flags.candidates)

    with ExitStack() as stack:
        environs = stack.enter_context(serving_stack(RANKERS, random))
        services = {
            ranker: stack.enter_context(ranking_service(load_settings(environ))) for ranker, environ in environs.items()}
        print(f"{flags.candidates} candidates, {flags.calls} calls of each kind, one after the other")
        in_process(services, flags.calls, ask)
        over_http(services["gatesid"], flags.calls, ask)
        against_feast(services["gatesid"].reader.reader, flags.calls // 5, ask)
    return 0


if __name__ == "__main__":
    sys.exit(main())
