"""Airflow writes its configuration where AIRFLOW_HOME says when it is first imported: into the state folder."""

import os
from pathlib import Path

os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).resolve().parents[2] / "var" / "airflow_tests"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
