"""Training rows joined with maturity rows as of their moments: seconds, and the most memory that all processes held at once.

    python tests/benchmarks/bench_point_in_time.py duckdb [--rows 1000000]      Feast's join on DuckDB
    python tests/benchmarks/bench_point_in_time.py spark  [--rows 10000000]     spark_jobs/point_in_time.py, local[2]

As many impressions as maturity rows, over items of which the first has a tenth of both. What Feast and Spark themselves need to
start is told apart.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from deltalake import write_deltalake  # noqa: E402

from features.layout import Layout  # noqa: E402
from features.names import TABLE_MATURITY_REBUILT  # noqa: E402
from infra.jars import delta_jars  # noqa: E402

T0, DAYS, DAY_MS, TICK_MS = 1_767_225_600_000, 30, 86_400_000, 10_000
TIMESTAMP, PART = pa.timestamp("us", tz="UTC"), 1_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The largest sum of resident memory of this process and all it started, looked at every 0.2 s."""

    def __enter__(self) -> "Memory":
        self.peak, self.done = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *fault) -> None:
        self.done.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.done.wait(0.2):
            self.peak = max(self.peak, sum(map(resident, family(os.getpid()))))


def family(pid: int) -> list[int]:
    children = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def columns(random: np.random.Generator, count: int, items: int) -> tuple[pa.Array, np.ndarray]:
    """Item ids, a tenth of them of one item, and ticks."""
    item = np.where(random.random(count) < 0.1, 0, random.integers(0, items, count))
    return (pa.array(np.char.add("item-", item.astype(str)), pa.string()),
            T0 + random.integers(0, DAYS * DAY_MS // TICK_MS, count) * TICK_MS)


def write_rows(home: Path, rows: int) -> Path:
    """`item_maturity_rebuilt`, and the questions as Parquet; a million rows at a time."""
    random, items = np.random.default_rng(1), max(10, rows // 100)
    asked = home / "asked"
    asked.mkdir()
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        item, tick = columns(random, count, items)
        days = np.char.zfill(((tick - T0) // DAY_MS + 1).astype(str), 2)
        published = pa.table({
            "item_id": item, "tick": pa.array(tick, pa.timestamp("ms", tz="UTC")).cast(TIMESTAMP),
            "exposure_7d": random.integers(0, 999, count), "click_7d": random.integers(0, 99, count),
            "ds": pa.array(np.char.add("2026-01-", days))})
        write_deltalake(str(Layout(home).table(TABLE_MATURITY_REBUILT)), published, mode="append", partition_by=["ds"])
        item, tick = columns(random, count, items)
        ids = np.char.add("event-", np.arange(start, start + count).astype(str))
        pq.write_table(pa.table({"event_id": ids, "item_id": item, "event_ms": tick + random.integers(0, TICK_MS, count)}),
                       asked / f"{start:010}.parquet")
    return asked


def by_duckdb(home: Path, asked: Path) -> tuple[float, int]:
    from features.retrieval import FeatureStoreConfig, historical_maturity

    config = FeatureStoreConfig(home, "127.0.0.1:1")
    questions = pq.read_table(asked).to_pandas()
    questions["event_time"] = np.asarray(questions.pop("event_ms"), "datetime64[ms]")
    questions["event_time"] = questions["event_time"].dt.tz_localize("UTC")
    historical_maturity(config, questions.head(10))  # Feast's imports and the snapshot
    began = time.monotonic()
    found = historical_maturity(config, questions)
    return time.monotonic() - began, int(found["tick"].notna().sum())


def by_spark(home: Path, asked: Path) -> tuple[float, int]:
    from spark_jobs import lake
    from spark_jobs.point_in_time import newest_readable
    from spark_jobs.session import spark_session

    settings = SimpleNamespace(home=home, spark=SimpleNamespace(master="local[2]", driver_memory="3g", shuffle_partitions=16))
    spark = spark_session("bench", settings, delta_jars(ROOT / "var"))
    path = Layout(home).table(TABLE_MATURITY_REBUILT)
    published = lake.read_table(spark, path, lake.table_version(path))
    questions = spark.read.parquet(str(asked))
    began = time.monotonic()
    newest_readable(questions, published, 64).write.parquet(str(home / "answers"))
    took = time.monotonic() - began
    answers = spark.read.parquet(str(home / "answers"))
    assert answers.count() == questions.count()
    answered = answers.where("tick_ms IS NOT NULL").count()
    spark.stop()
    return took, answered


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("engine", choices=["duckdb", "spark"], nargs="?", default="duckdb")
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    scratch = ROOT / "var" / "tmp" / "bench_point_in_time"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        asked = write_rows(Path(folder), given.rows)
        with Memory() as memory:
            seconds, answered = (by_duckdb if given.engine == "duckdb" else by_spark)(Path(folder), asked)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{given.engine}: {given.rows:,} impressions, as many maturity rows: {seconds:.1f} s ({load}), {answered:,} answered,"
          f" {memory.peak / 2**30:.1f} GiB at most in all processes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
