"""`gatesid demo`: from an empty state folder to a served, maturity-gated score, as a numbered plan that can be resumed.

Every step runs the same command or DAG that an owner would run. A step that ended is noted in <home>/demo/progress.json; a
demo that was killed goes on at the step it was in, a finished one starts over with a clean state (caches are kept).
`--data NAME` takes a prepared data set of your own. What the bootstrap made is used again by the next demo of the same data,
settings and code (bootstrap_cache.py), unless it is `--fresh`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from features.artefacts import read_manifest, write_json
from features.errors import DataError, EnvironmentFault, GatesidError
from features.live_codebook import live_codebook
from infra import airflow_runs, bootstrap_cache, broker, live_session, local_stack
from infra.settings import CHECKOUT, Settings, load_settings

REPLAY_DAYS = 2
BOOTSTRAP_DAYS = 7  # in its evaluation; each night's is over [training] report_days
MAKES_ITSELF = ("complete_journey",)  # data sets that need nothing from outside
STATE = ("lake", "lake_snapshots", "encoders", "codebooks", "maturity_state", "checkpoints", "predictions", "candidates",
         "models", "serving", "reports", "runs", "kafka", "valkey", "feast", "airflow", "run", "data_docs", "demo")


@dataclass(frozen=True)
class Plan:
    """The days of one demo: history goes into the lake directly, the last days are played through Kafka."""

    dataset: str
    first: date
    as_of: date

    @property
    def replay_from(self) -> date:
        return self.as_of - timedelta(days=REPLAY_DAYS)


def plan_of(settings: Settings) -> Plan:
    """The data set's last `history_days`, or what it has. Raises DataError: fewer than four days."""
    name = settings.data.dataset
    manifest = read_manifest(settings.layout.dataset(name), kind="dataset")
    as_of = date.fromisoformat(manifest["as_of"])
    first = max(date.fromisoformat(manifest["first_day"]), as_of - timedelta(days=settings.data.history_days))
    if (as_of - first).days < REPLAY_DAYS + 2:
        raise DataError(f"{name} has the days {first} to {manifest['last_day']}; at least {REPLAY_DAYS + 2} are needed: two to "
                        f"learn from and {REPLAY_DAYS} to play through Kafka")
    return Plan(name, first, as_of)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gatesid demo", description=__doc__)
    parser.add_argument("--data", help="a prepared data set (default: settings [data] dataset)")
    parser.add_argument("--fresh", action="store_true", help="run the bootstrap also where its results are kept")
    given = parser.parse_args(argv)
    if given.data:
        os.environ["GATESID_DATA__DATASET"] = given.data  # for every process that is started from here
    started = time.monotonic()
    settings = load_settings()
    if given.fresh:
        shutil.rmtree(settings.home / "cache" / "bootstrap", ignore_errors=True)
    if settings.data.dataset in MAKES_ITSELF:
        print(f"Preparing {settings.data.dataset}", flush=True)
        command("infra.datasets", "prepare", settings.data.dataset)
    plan = plan_of(settings)
    progress = Progress(settings.home / "demo" / "progress.json", [plan.dataset, str(plan.first), str(plan.as_of)])
    if progress.nothing_to_resume():
        local_stack.stop()
        for name in STATE:
            shutil.rmtree(settings.home / name, ignore_errors=True)
    steps = numbered(plan)
    print(f"\ngatesid demo: {plan.dataset}, {plan.first} to {plan.as_of} (excluded), {len(steps)} steps\n")
    for number, (title, _) in enumerate(steps, 1):
        print(f"  {number:2d}. {title}")
    print()
    for number, (title, action) in enumerate(steps, 1):
        if progress.has(title):
            print(f"[{number:2d}/{len(steps)}] {title}: done before ({progress.seconds(title):.0f} s)")
            continue
        print(f"[{number:2d}/{len(steps)}] {title}", flush=True)
        began = time.monotonic()
        action(plan)
        progress.done(title, time.monotonic() - began)
        print(f"        {time.monotonic() - began:.1f} s, {(time.monotonic() - started) / 60:.1f} min in all", flush=True)
    progress.finish(time.monotonic() - started)
    show_end(load_settings(), plan, time.monotonic() - started)
    return 0


class Progress:
    """Which steps of which plan ended, and how long they took."""

    def __init__(self, path: Path, plan: list[str]) -> None:
        self.path, self.plan = path, plan
        self.state = json.loads(path.read_text()) if path.is_file() else {}

    def nothing_to_resume(self) -> bool:
        """True when no demo of this plan was begun and killed: then it starts over."""
        if self.state.get("plan") == self.plan and not self.state.get("finished"):
            return False
        self.state = {"plan": self.plan, "steps": {}}
        return True

    def has(self, title: str) -> bool:
        # The stack of a killed demo may be gone: starting it is idempotent, so those steps always run.
        return title in self.state["steps"] and not title.startswith("Start")

    def seconds(self, title: str) -> float:
        return float(self.state["steps"][title])

    def done(self, title: str, seconds: float) -> None:
        self.state["steps"][title] = round(seconds, 1)
        self.save()

    def finish(self, seconds: float) -> None:
        self.state |= {"finished": True, "seconds": round(seconds, 1)}
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.state)


def numbered(plan: Plan) -> list[tuple[str, Callable[[Plan], None]]]:
    return [
        ("Start Kafka, Valkey and Airflow", start_foundations),
        (f"Load {(plan.replay_from - plan.first).days} days of history into the lake (Delta)", load_history),
        ("Bootstrap DAG: Spark jobs, semantic IDs, Feast, Base and GateSID day by day", bootstrap),
        ("Seed the stream's state from Spark's rebuild", seed),
        ("Start the stream: maturity, lake and catalogue consumers", start_stream),
        (f"Replay the last {REPLAY_DAYS} days through Kafka in virtual time", replay),
        ("Nightly DAGs for these days: pairs, SIDs, training, release", nightly),
        ("Compare every published maturity row with Spark's rebuild", verify),
        ("Start the model server and the ranking API", start_serving),
        ("Live: a product is born, is seen, is bought", live),
        ("Write the report", report),
    ]


def command(module: str, *arguments: str) -> None:
    """Run one room's command with its output indented. Raises EnvironmentFault when it fails."""
    line = [sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(line, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert child.stdout is not None
    for text in child.stdout:
        print(f"        {text}", end="", flush=True)
    if child.wait():
        raise EnvironmentFault(
            f"`python -m {module} {' '.join(arguments)}` ended with exit code {child.returncode}; its last lines are above. "
            "Mend the cause and run `make demo` again: it goes on at this step")


def dag(dag_id: str, **conf: str | int) -> None:
    """Trigger a DAG in Airflow and follow it to its end."""
    run_id = airflow_runs.trigger(dag_id, conf)
    airflow_runs.wait(dag_id, run_id, on_task=tell)


def tell(line: str) -> None:
    print(f"        {line}", flush=True)


def start_foundations(plan: Plan) -> None:
    local_stack.start(["kafka", "valkey", "airflow"])
    command("features.materialize", "--apply-only")


def load_history(plan: Plan) -> None:
    command("infra.datasets", "load", plan.dataset, "--from", str(plan.first), "--as-of", str(plan.replay_from))


def bootstrap(plan: Plan) -> None:
    settings = load_settings()
    name = bootstrap_cache.key(settings, plan.first, plan.replay_from)
    if bootstrap_cache.restore(settings, name):
        tell("same data, days, settings and code as the last time: its results are used again (--fresh computes them)")
        codebook = live_codebook(settings.layout)
        command("features.materialize", "--as-of", str(plan.replay_from), "--codebook", codebook)
        return
    dag("bootstrap", **{"from": str(plan.first), "as_of": str(plan.replay_from)}, days=BOOTSTRAP_DAYS)
    if fault := bootstrap_cache.keep(settings, name):
        tell(f"its results were not kept, so the next demo computes them again: {fault}")


def seed(plan: Plan) -> None:
    command("streaming", "seed", "--as-of", str(plan.replay_from))


def start_stream(plan: Plan) -> None:
    local_stack.start(["stream-maturity", "stream-lake", "stream-catalog"])


def replay(plan: Plan) -> None:
    command("streaming", "replay", plan.dataset, "--from", str(plan.replay_from), "--as-of", str(plan.as_of))
    broker.set_append_time(load_settings().addresses.kafka)  # from here on the log's time is the broker's


def nightly(plan: Plan) -> None:
    """One night for the days since the bootstrap: pairs, and by their assets SIDs and training."""
    dag("co_click_mining", **{"from": str(plan.replay_from), "as_of": str(plan.as_of)})
    airflow_runs.wait_for_asset_run("nightly_sids", str(plan.as_of), on_task=tell)
    airflow_runs.wait_for_asset_run("incremental_train", str(plan.as_of), on_task=tell)


def verify(plan: Plan) -> None:
    command("streaming", "verify", "--from", str(plan.replay_from), "--as-of", str(plan.as_of))


def start_serving(plan: Plan) -> None:
    local_stack.start(["model-server", "ranking-api"])


def live(plan: Plan) -> None:
    live_session.main(load_settings())


def report(plan: Plan) -> None:
    command("infra.report", "--as-of", str(plan.as_of))


def show_end(settings: Settings, plan: Plan, seconds: float) -> None:
    print((settings.layout.report(f"evaluation-{plan.as_of}") / "table.txt").read_text())
    print("  One seed: `gatesid compare --seeds 3` says how much of this is chance.")
    print(f"\nDone in {seconds / 60:.1f} min. The stack stays up: `make down` stops it.\n")
    for line in local_stack.describe():
        print(f"  {line}")
    print(f"\n  report           {settings.layout.report('demo') / 'index.html'}")
    live = json.loads((settings.home / "demo" / "live.json").read_text())
    print(f"  rank             gatesid rank --user {live['user_id']} --candidates {','.join(live['candidates'][-3:])}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GatesidError as fault:
        print(f"gatesid demo: {fault}", file=sys.stderr)
        sys.exit(fault.exit_code)
