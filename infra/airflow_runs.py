"""Start Airflow's DAG runs and follow them, over its REST API, with the login that Airflow generated for this machine.

    run_id = trigger("bootstrap", {"from": "2026-08-24", "as_of": "2026-11-20"})
    wait("bootstrap", run_id, on_task=print)
    wait_for_asset_run("nightly_sids", "2026-11-21", on_task=print)     a run that another DAG's asset started

    python -m infra.airflow_runs bootstrap --conf '{"as_of": "2026-11-20"}'      the same from a shell
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from features.clock import SystemClock
from features.errors import ConfigError, EnvironmentFault, GatesidError
from infra.airflow_stack import airflow_home
from infra.settings import Settings, load_settings

POLL_S = 2.0
APPEAR_S = 180.0
UNFINISHED = ("queued", "running")
SETTLED = ("success", "failed", "upstream_failed", "skipped", "removed")
SAID = (*SETTLED, "running", "up_for_retry")
SILENT_S = 90.0  # how long a busy server may leave a question unanswered
LOG_LINES = 25

OnTask = Callable[[str], None]


class RunFailed(GatesidError):
    """A DAG run ended without success; the message names its tasks and shows the end of their logs."""


class Unanswered(EnvironmentFault):
    """The server is away, or failed over a question that it may answer the next time.

    Airflow 3.3 fails over an asset event while the run that it started is queued (that run's start_date is null).
    """


class Airflow:
    """The API server of one environment, logged in."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"http://{settings.addresses.airflow}"
        passwords = airflow_home(settings) / "simple_auth_manager_passwords.json.generated"
        try:
            user, password = next(iter(json.loads(passwords.read_text()).items()))
        except (OSError, ValueError, StopIteration) as fault:
            raise EnvironmentFault(f"no Airflow login at {passwords} ({fault!r}): start Airflow with `gatesid up`") from None
        self.token: str | None = None
        self.token = self.call("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, missing_is_none: bool = False) -> Any:
        """The answer's JSON; None for a 404 where that is expected. A question (GET) is asked again for SILENT_S.

        Raises EnvironmentFault: a refusal; Unanswered: no answer.
        """
        began = time.monotonic()
        while True:
            try:
                return self.ask(method, path, body, missing_is_none)
            except Unanswered:
                if method != "GET" or time.monotonic() - began > SILENT_S:
                    raise
                time.sleep(POLL_S)

    def ask(self, method: str, path: str, body: dict[str, Any] | None, missing_is_none: bool) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode() if body is not None else None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as fault:
            if fault.code == 404 and missing_is_none:
                return None
            kind = Unanswered if fault.code >= 500 else EnvironmentFault
            raise kind(f"Airflow refused {method} {path} ({fault.code}): {fault.read().decode()[:500]}") from None
        except OSError as fault:
            raise Unanswered(f"Airflow at {self.url} does not answer ({fault}): `gatesid status`") from None

    def run_path(self, dag_id: str, run_id: str) -> str:
        return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        found = self.call("GET", f"{self.run_path(dag_id, run_id)}/taskInstances?limit=200")["task_instances"]
        return sorted(found, key=lambda task: (task["end_date"] or "9", task["start_date"] or "9", task["task_id"]))

    def log_end(self, dag_id: str, run_id: str, task: dict[str, Any]) -> str:
        """The last lines that a task printed."""
        path = f"{self.run_path(dag_id, run_id)}/taskInstances/{task['task_id']}/logs/{task['try_number']}?full_content=true"
        content = (self.call("GET", path, missing_is_none=True) or {}).get("content", [])
        lines = [line["event"] if isinstance(line, dict) else str(line) for line in content]
        return "\n".join(f"    {line}" for line in lines[-LOG_LINES:])


def trigger(dag_id: str, conf: dict[str, Any] | None = None, settings: Settings | None = None) -> str:
    """Start a run, and return its id; a run of the same conf that has not ended yet is returned instead.

    Waits while Airflow has not read the DAG yet. Raises EnvironmentFault: Airflow is away, or knows no such DAG.
    """
    airflow, conf = Airflow(settings or load_settings()), conf or {}
    for _ in until(APPEAR_S):
        if airflow.call("GET", f"/api/v2/dags/{dag_id}", missing_is_none=True):
            break
    else:
        raise EnvironmentFault(f"Airflow knows no DAG {dag_id}: is the name right, does `python dags/{dag_id}.py` run?")
    airflow.call("PATCH", f"/api/v2/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
    going = airflow.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?" + urlencode({"state": UNFINISHED, "limit": 100}, doseq=True))
    for run in going["dag_runs"]:
        if run["conf"] == conf:
            return str(run["dag_run_id"])
    now = SystemClock().now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    name = "_".join(["manual", *(str(conf[key]) for key in ("as_of",) if key in conf), now])
    run = airflow.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": name, "logical_date": None, "conf": conf})
    return str(run["dag_run_id"])


def wait(dag_id: str, run_id: str, on_task: OnTask | None = None, settings: Settings | None = None) -> None:
    """Follow a run to its end; `on_task` gets one line for each task that ended, has failed and is tried again, or began.

    Raises RunFailed: the run did not succeed.
    """
    airflow = Airflow(settings or load_settings())
    said: dict[str, tuple[str, int]] = {}
    for _ in until(None):
        state = airflow.call("GET", airflow.run_path(dag_id, run_id))["state"]
        tasks = airflow.tasks(dag_id, run_id)
        for task in tasks:
            now = (task["state"], task["try_number"])
            if on_task and task["state"] in SAID and said.get(task["task_id"]) != now:
                on_task(describe(dag_id, task))
            said[task["task_id"]] = now
        if state not in UNFINISHED:
            break
    if state != "success":
        failed = [task for task in tasks if task["state"] == "failed"]
        ends = "\n".join(f"  {task['task_id']}:\n{airflow.log_end(dag_id, run_id, task)}" for task in failed)
        names = ", ".join(task["task_id"] for task in failed) or "no task"
        raise RunFailed(f"the DAG {dag_id} ended as {state}, at {names}.\n{ends}\n"
                        f"  What to do is in the DAG's documentation: {airflow.url}/dags/{dag_id}")


def wait_for_asset_run(dag_id: str, as_of: str, on_task: OnTask | None = None, settings: Settings | None = None) -> str:
    """Follow the run that the newest asset event for `as_of` starts; returns its id.

    Call it once the DAG that makes the asset has ended. Raises EnvironmentFault: nothing started. RunFailed: as `wait`.
    """
    airflow = Airflow(settings or load_settings())
    for _ in until(APPEAR_S):
        run_id = started_by_asset(airflow, dag_id, as_of)
        if run_id:
            wait(dag_id, run_id, on_task, settings)
            return run_id
    raise EnvironmentFault(f"no asset event for {as_of} has started {dag_id} in {APPEAR_S:.0f} s: did the DAG that makes its "
                           f"asset succeed for that day? {airflow.url}/assets")


def started_by_asset(airflow: Airflow, dag_id: str, as_of: str) -> str | None:
    """The run that the newest event for `as_of`, of an asset that this DAG is scheduled on, has started."""
    details = airflow.call("GET", f"/api/v2/dags/{dag_id}/details", missing_is_none=True)
    events = [event for asset_id in asset_ids(details and details["asset_expression"]) for event in airflow.call(
        "GET", f"/api/v2/assets/events?asset_id={asset_id}&order_by=-timestamp&limit=100")["asset_events"]]
    for event in sorted(events, key=lambda event: event["timestamp"], reverse=True):
        if (event["extra"] or {}).get("as_of") == as_of:
            runs = [run["run_id"] for run in event["created_dagruns"] if run["dag_id"] == dag_id]
            return runs[0] if runs else None
    return None


def asset_ids(expression: Any) -> list[int]:
    """Of {"all": [{"asset": {"id": …}}, …]}, nested as it may be."""
    if isinstance(expression, list):
        return [found for part in expression for found in asset_ids(part)]
    if isinstance(expression, dict):
        if "asset" in expression:
            return [expression["asset"]["id"]]
        return [found for part in expression.values() for found in asset_ids(part)]
    return []


def describe(dag_id: str, task: dict[str, Any]) -> str:
    seconds = f"{task['duration']:7.1f} s" if task["state"] in SETTLED and task["duration"] else " " * 9
    attempt = f"  try {task['try_number']}" if task["try_number"] > 1 else ""
    return f"{dag_id}.{task['task_id']:<24} {task['state']:<12} {seconds}{attempt}"


def until(seconds: float | None) -> Iterator[None]:
    """One turn every POLL_S, the first at once, for that long."""
    started = time.monotonic()
    while seconds is None or time.monotonic() - started < seconds:
        yield
        time.sleep(POLL_S)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m infra.airflow_runs", description="Trigger a DAG and follow it to its end.",
        epilog="""example: python -m infra.airflow_runs bootstrap --conf '{"from": "2026-08-24", "as_of": "2026-11-20"}'""")
    parser.add_argument("dag_id")
    parser.add_argument("--conf", default="{}", help="JSON object: the run's parameters")
    arguments = parser.parse_args(argv)
    try:
        conf = json.loads(arguments.conf)
    except ValueError as fault:
        parser.error(f"--conf is not JSON: {fault}")
    try:
        if not isinstance(conf, dict):
            raise ConfigError(f"--conf expects a JSON object, got {arguments.conf}")
        run_id = trigger(arguments.dag_id, conf)
        wait(arguments.dag_id, run_id, on_task=lambda line: print(line, flush=True))
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print(run_id)
    return 0


if __name__ == "__main__":
    sys.exit(main())
