"""Airflow in one process group: migrate its database, then API server, scheduler and DAG processor until one ends.

    python -m infra.airflow_standalone          (in `airflow_environment(settings)`; the local stack starts it)

It does what `airflow standalone` does, with two differences: the log servers, which Airflow binds to every interface,
are not started (the API server reads task logs from the disk here), and neither is the triggerer, which only deferrable
operators need.
"""

import signal
import subprocess
import sys
import time

PARTS = (["api-server"], ["scheduler", "--skip-serve-logs"], ["dag-processor"])
LOOK_S = 0.5


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    migrated = subprocess.run(airflow("db", "migrate"), check=False).returncode
    if migrated:
        return migrated
    children = [subprocess.Popen(airflow(*part)) for part in PARTS]
    try:
        while all(child.poll() is None for child in children):
            time.sleep(LOOK_S)
        ended = next(part for part, child in zip(PARTS, children, strict=True) if child.poll() is not None)
        print(f"airflow {ended[0]} ended by itself; ending the others", flush=True)
        return 1
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()


def airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


if __name__ == "__main__":
    sys.exit(main())
