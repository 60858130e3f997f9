"""The ranking API under load: unloaded latency, saturation point, the steps up to it, twice as much for a minute, and after.

    python tests/benchmarks/bench_load.py [--candidates 200] [--seconds 60] [--ranker gatesid]

Real processes: Valkey, the embedded model server and the ranking API, started here on free ports and stopped again, the client
on the same machine. Arrivals are open-loop (open_loop.py). One line a phase; the rates are shares of the saturation point
measured just before, so a run on a busy machine is still comparable within itself.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

import numpy as np  # noqa: E402
from open_loop import Answers, LoadClient  # noqa: E402
from serving_stack import request, running, serving_stack  # noqa: E402

STEPS = (0.25, 0.5, 0.75, 1.0)
STEP_SECONDS = 10
STAGES = ("read", "assemble", "predict", "reply", "total")


def resident_mb(pid: int) -> float:
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout) / 1024


def line(name: str, answers: Answers) -> str:
    total = sum(map(len, answers.latencies_ms.values())) + answers.hung + answers.broken
    p50, p99 = np.percentile(answers.accepted, [50, 99]) if answers.accepted else (np.nan, np.nan)
    refused = len(answers.latencies_ms.get(503, ()))
    refused_p99 = f" (their p99 {np.percentile(answers.latencies_ms[503], 99):.1f} ms)" if refused else ""
    other = total - refused - len(answers.accepted) - answers.hung - answers.broken
    return (f"{name:24s} asked {total:6d}  p50 {p50:6.1f}  p99 {p99:6.1f} ms  refused {refused / max(total, 1):6.1%}"
            f"{refused_p99}  hung {answers.hung}"
            f"  broken {answers.broken}  other {other}  503 without Retry-After {answers.without_retry_after}")


def stages(answers: Answers) -> str:
    replies = [json.loads(body) for body in answers.bodies]
    degraded = sum(bool(reply["degraded"]) for reply in replies)
    times = {stage: [reply["timings_ms"].get(stage, 0.0) for reply in replies] for stage in STAGES}
    said = "  ".join(f"{stage} {np.percentile(taken, 50):.1f}/{np.percentile(taken, 99):.1f}" for stage, taken in times.items())
    return f"{'':24s} by stage, p50/p99 of {len(replies)} replies: {said}  degraded {degraded}"


async def measure(client: LoadClient, seconds: int, callers: int, pid: int, random: np.random.Generator) -> None:
    def show(name: str, answers: Answers) -> None:
        print(line(name, answers), stages(answers), sep="\n", flush=True)

    await client.one_after_the_other(100)  # warm
    show("unloaded", await client.one_after_the_other(300))
    fast = await client.as_fast_as_it_goes(callers, STEP_SECONDS)
    saturation = len(fast.accepted) / fast.seconds
    show(f"saturation {saturation:.0f}/s", fast)
    for step in STEPS:
        show(f"{step:.2f} x = {step * saturation:.0f}/s", await client.at_rate(step * saturation, STEP_SECONDS, random))
    before = resident_mb(pid)
    show(f"2 x = {2 * saturation:.0f}/s, {seconds} s", await client.at_rate(2 * saturation, seconds, random))
    print(f"{'':24s} memory of the API {before:.0f} MB before, {resident_mb(pid):.0f} MB after", flush=True)
    show("0.50 x at once after", await client.at_rate(0.5 * saturation, STEP_SECONDS, random))
    client.close()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60, help="of twice the saturation")
    parser.add_argument("--ranker", choices=("base", "gatesid"), default="gatesid")
    flags = parser.parse_args(argv)
    import model  # noqa: F401  (chooses the Keras version)
    from infra.settings import load_settings
    from serving.admission import NEXT

    random = np.random.default_rng(1)
    with serving_stack([flags.ranker], random) as environs:
        environ = environs[flags.ranker]
        address = environ["GATESID_RANKING_API"]

        def body() -> bytes:
            user_id, candidates = request(random, flags.candidates)
            return json.dumps({"user_id": user_id, "candidates": candidates}).encode()

        bodies = [body() for _ in range(500)]
        print(f"{flags.ranker}, {flags.candidates} candidates")
        client = LoadClient(address, "/v1/rank", lambda: bodies[random.integers(len(bodies))])
        with running("serving.ranking_api", environ, address) as pid:
            asyncio.run(measure(client, flags.seconds, load_settings(environ).serving.threads + NEXT, pid, random))
    return 0


if __name__ == "__main__":
    sys.exit(main())
