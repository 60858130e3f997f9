"""Airflow on this machine: its environment, its health and its login. Its state lies in <home>/airflow.

Whoever runs an `airflow` command (the local stack, the demo, a test) does it in `airflow_environment(settings)`.
"""

import json
import os
import sys
from pathlib import Path

from infra.health import get
from infra.settings import CHECKOUT, Settings


def airflow_home(settings: Settings) -> Path:
    return settings.home / "airflow"


def airflow_environment(settings: Settings) -> dict[str, str]:
    """What Airflow and its tasks need to know, on top of the process's own environment."""
    host, port = settings.addresses.airflow.rsplit(":", 1)
    url = f"http://{host}:{port}"
    return {
        "AIRFLOW_HOME": str(airflow_home(settings)),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(settings.airflow.parallelism),
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
        # A changed DAG file is seen after this long; reading all of them every 30 s costs two small cores too much.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        # Tasks talk to this server; on another port than 8080 they die with a ConnectError if it is not said twice.
        "AIRFLOW__API__HOST": host,
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_SPARK": json.dumps({"conn_type": "spark", "host": settings.spark.master}),
        "GATESID_HOME": str(settings.home),
        "GATESID_ENV": settings.environment,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])),
        "GATESID_PYTHON": sys.executable,  # for tasks
        # `airflow` starts its parts by name.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def is_healthy(settings: Settings) -> bool:
    """Whether the API server answers and the scheduler and the DAG processor have just given a sign of life."""
    status, body = get(f"http://{settings.addresses.airflow}/api/v2/monitor/health")
    return status == 200 and all(body[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def login(settings: Settings) -> str | None:
    """`user / password` of the UI, which Airflow generates at its first start; None before that."""
    generated = airflow_home(settings) / "simple_auth_manager_passwords.json.generated"
    if not generated.is_file():
        return None
    return ", ".join(f"{user} / {password}" for user, password in json.loads(generated.read_text()).items())
