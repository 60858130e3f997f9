"""Co-click mining of many clicks: time, CPU and memory; how it grows; what a mad user and a mad item add.

    python tests/benchmarks/bench_co_click.py [--clicks 1000000 10000000] [--skew 1000000] [--driver-memory 4g] [--home DIR]

Each case is the command itself in a process of its own, over a lake of its own: clicks of a week, 40 a user, of 50,000 items,
the popular ones more. `one user` has 100,000 of them, `one item` is in 30 % of the sessions (a session: 4 clicks in minutes).
Seconds depend on what else the machine does; CPU seconds, of the JVM and its Python workers, hardly.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
from deltalake import write_deltalake  # noqa: E402

from infra.settings import load_settings  # noqa: E402

FIRST, DAYS, DAY_MS = date(2026, 1, 5), 7, 86_400_000
ITEMS, PER_USER, SESSION = 50_000, 40, 4
EVEN, ONE_USER, ONE_ITEM = "even", "one user", "one item"
MAD_CLICKS, MAD_SHARE = 100_000, 0.3


def write_clicks(home: Path, clicks: int, case: str) -> None:
    """A day a commit, as a lake has them."""
    rng, per_day = np.random.default_rng(7), clicks // DAYS
    for n in range(DAYS):
        day = FIRST + timedelta(days=n)
        start_ms = int(np.datetime64(day, "ms").astype(np.int64))
        sessions = per_day // SESSION
        user = np.repeat(rng.integers(0, max(1, clicks // PER_USER), sessions), SESSION)
        began = np.repeat(rng.integers(0, DAY_MS - 600_000, sessions), SESSION)
        at = start_ms + began + np.tile(np.arange(SESSION) * 60_000, sessions)
        item = (ITEMS * rng.random(len(at)) ** 2).astype(np.int64)  # popularity falls with the number
        if case == ONE_USER:
            mad = rng.permutation(len(at))[:MAD_CLICKS // DAYS]
            user[mad] = 0
        if case == ONE_ITEM:
            item.reshape(-1, SESSION)[rng.random(sessions) < MAD_SHARE, 0] = ITEMS
        order = np.argsort(at, kind="stable")
        write_deltalake(str(home / "lake" / "events"), events(n, user[order], item[order], at[order], day), mode="append",
                        partition_by=["ds"])


def events(day: int, user: np.ndarray, item: np.ndarray, at: np.ndarray, ds: date) -> pa.Table:
    count = len(at)

    def named(prefix, numbers):
        return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")

    moment = pa.array(at * 1000).cast(pa.timestamp("us", "UTC"))
    return pa.table({
        "event_id": named(f"e{day}-", np.arange(count)), "event_type": pa.array(["click"] * count),
        "user_id": named("u", user), "item_id": named("i", item), "event_time": moment,
        "request_id": pa.nulls(count, pa.string()),
        "context": pa.nulls(count, pa.string()), "ingest_time": moment, "source": pa.array(["kafka"] * count),
        "partition": pa.array(np.zeros(count), pa.int32()), "offset": pa.array(np.arange(count)),
        "ds": pa.array([ds.isoformat()] * count)})


def mine(home: Path, memory: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and GiB at the peak of the whole process tree."""
    command = [sys.executable, "-m", "spark_jobs.co_click", "--from", str(FIRST), "--as-of", str(FIRST + timedelta(days=DAYS))]
    began, peak, spent = time.monotonic(), 0, {}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {
            "GATESID_HOME": str(home), "GATESID_SPARK__DRIVER_MEMORY": memory}, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, measure(process.pid, spent))
            time.sleep(2)  # reading a JVM's memory map is work
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - began, sum(spent.values()), peak / 2**30


def measure(pid: int, spent: dict[int, float]) -> int:
    """Bytes of the tree now, pages that workers share with the daemon that forked them counted once; CPU seconds by process."""
    found = 0
    try:
        for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            spent[one.pid] = sum(one.cpu_times()[:2])
            found += one.memory_full_info().pss
    except psutil.Error:  # one has just ended
        pass
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--skew", type=int, default=1_000_000, help="clicks of the skewed cases (default: %(default)s)")
    parser.add_argument("--driver-memory", default="4g")
    parser.add_argument("--home", type=Path, help="where lakes are written (default: a temporary folder)")
    given = parser.parse_args()
    cases = [(clicks, EVEN) for clicks in given.clicks] + [(given.skew, case) for case in (ONE_USER, ONE_ITEM) if given.skew]
    jars = load_settings().home / "cache"
    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        for clicks, case in cases:
            home = Path(folder) / f"{clicks}-{case.replace(' ', '-')}"
            home.mkdir()
            (home / "cache").symlink_to(jars)
            write_clicks(home, clicks, case)
            wall, cpu, peak = mine(home, given.driver_memory)
            print(f"{clicks:>12,} clicks, {case:<8} | {wall:.0f} s | {cpu:.0f} s of CPU, {1e6 * cpu / clicks:.1f} a million | "
                  f"{peak:.1f} GiB at the peak", flush=True)
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
