"""A standalone Spark cluster on the loopback: one master, some workers, each a process of its own; and jobs submitted to it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyspark

ROOT = Path(__file__).resolve().parents[2]
SPARK = Path(pyspark.__file__).parent
HOST, WAIT_S = "127.0.0.1", 120


@contextmanager
def standalone_cluster(folder: Path, workers: int = 2, memory: str = "1g") -> Iterator[str]:
    """Its address, spark://…; one core a worker. Logs and scratch lie in `folder`. Everything ends with the block."""
    started: list[subprocess.Popen] = []

    def start(name: str, kind: str, *arguments: str, ready: str) -> str:
        log = folder / f"{name}.log"
        with log.open("w") as out:
            started.append(subprocess.Popen(
                [SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", "--host", HOST, *arguments],
                env=environment(folder), stdout=out, stderr=out, start_new_session=True))
        return found_in(log, ready)

    try:
        master = start("master", "master.Master", "--port", "0", "--webui-port", "0",
                       ready=r"Starting Spark master at (spark://\S+)")
        for n in range(workers):
            start(f"worker-{n}", "worker.Worker", "--webui-port", "0", "--cores", "1", "--memory", memory,
                  "--work-dir", str(folder / f"work-{n}"), master, ready="(Successfully registered) with master")
        yield master
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            process.wait(timeout=WAIT_S)


def submit(master: str, folder: Path, home: Path, jars: Sequence[Path], job: str, *arguments: str, memory: str = "512m") -> str:
    """Run spark_jobs/<job>.py by spark-submit; its last line. Raises RuntimeError: it failed."""
    settings = {"spark.executorEnv.PYTHONPATH": str(ROOT), "spark.executor.memory": memory, "spark.driver.host": HOST,
                "spark.executorEnv.OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [SPARK / "bin" / "spark-submit", "--master", master, "--jars", ",".join(map(str, jars)),
         *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
         ROOT / "spark_jobs" / f"{job}.py", *arguments],
        env=environment(folder) | {"GATESID_HOME": str(home)}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{job} ended with {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout.splitlines()[-1]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "SPARK_LOCAL_IP": HOST, "SPARK_DAEMON_MEMORY": "256m", "SPARK_HOME": str(SPARK), "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "SPARK_LOCAL_DIRS": str(folder)}


def found_in(log: Path, pattern: str) -> str:
    """The first match, once a process has written it."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if match := re.search(pattern, log.read_text()):
            return match[1]
        time.sleep(0.2)
    raise RuntimeError(f"{log.name} does not say {pattern!r} after {WAIT_S} s: {log.read_text()[-2000:]}")
