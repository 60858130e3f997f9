"""What every DAG here has in common: owner, retries, how a day is named, how a room's command is run.

A DAG says when and in which order, nothing else. Its tasks are the commands of features/README.md, run in the checkout with the
environment of Airflow itself and the Python that GATESID_PYTHON names (else `python`): bash reads ~/.bashrc where its input is
a socket, as a task's is, so the order of PATH is not to be relied on. The last line a command prints is its task's result.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from jinja2 import pass_context

from features.names import TABLE_CO_CLICK_PAIRS, TABLE_MATURITY_REBUILT, TABLE_SEMANTIC_IDS

CHECKOUT = Path(__file__).resolve().parents[1]
OWNER = "ranking"
TAG = "gatesid"
RETRIES = 2
RETRY_DELAY = timedelta(seconds=30)
# Bad usage, bad data, a refused artefact: they are the same the second time (features/errors.py).
NOT_WORTH_A_RETRY = (2, 4, 5)

# What one DAG makes and another starts on; an event's `extra` names its days.
PAIRS = Asset(name=TABLE_CO_CLICK_PAIRS, uri=f"gatesid://lake/{TABLE_CO_CLICK_PAIRS}")
SIDS = Asset(name=TABLE_SEMANTIC_IDS, uri=f"gatesid://lake/{TABLE_SEMANTIC_IDS}")
MATURITY = Asset(name=TABLE_MATURITY_REBUILT, uri=f"gatesid://lake/{TABLE_MATURITY_REBUILT}")

PYTHON = "${GATESID_PYTHON:-python}"
AS_OF = "{{ as_of() }}"
FIRST_DAY = "{{ first_day() }}"
DAYS = ("--from", FIRST_DAY, "--as-of", AS_OF)


class Command(BashOperator):
    """`python -m module …`. Ends at once, without a retry, where repeating cannot help."""

    def execute(self, context: Any) -> Any:
        try:
            return super().execute(context)
        except AirflowSkipException:
            raise
        except AirflowException as fault:
            if self.subprocess_hook.sub_process.returncode in NOT_WORTH_A_RETRY:
                raise AirflowFailException(f"{self.bash_command}: {fault} Its last lines above say what to do.") from fault
            raise


def command(name: str, module: str, *arguments: str, unless: str | None = None, **options: Any) -> Command:
    """A task `name` that runs one room's command.

    unless: a parameter of the DAG; where a run gives it, that value is the result and nothing is run.
    """
    line = " ".join([PYTHON, "-m", module, *arguments])
    if unless:
        line = f"{{% if params.{unless} %}}echo {{{{ params.{unless} }}}}{{% else %}}{line}{{% endif %}}"
    return Command(task_id=name, bash_command=line, cwd=str(CHECKOUT), append_env=True, skip_on_exit_code=None, **options)


def result(task_id: str, part: int = -1) -> str:
    """What another task of the run printed last: a name, or one part of a path."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}').split('/')[{part}] }}}}"


def check(suite: str, *more: str) -> Command:
    """The gate in front of everything that publishes."""
    return command(f"check_{suite}", "spark_jobs.check", "--suite", suite, *DAYS, *more)


def training_rows() -> Command:
    """The jobs that end in a training frame, in one Spark session: starting one costs more than a day's work."""
    return command("training_rows", "spark_jobs", "entity_index", "item_stats", "user_history", "training_frame", *DAYS)


def watermark() -> Command:
    """Wait until the lake holds every event of the days before as_of: a short question, asked again for six hours."""
    return command("watermark", "streaming", "watermark", "--at-least", AS_OF, retries=72, retry_delay=timedelta(minutes=5))


def announce(asset: Asset) -> Any:
    """The DAG's last task: tell whoever starts on `asset` for which days it is made."""
    @task(task_id=f"announce_{asset.name}", outlets=[asset])
    def tell(first: str, as_of: str, *, outlet_events: Any) -> str:
        outlet_events[asset].extra = {"from": first, "as_of": as_of}
        return as_of
    return tell(FIRST_DAY, AS_OF)


def pipeline(
    dag_id: str, doc: str, *, schedule: str | list[Asset] | None = None, params: Mapping[str, Param] | None = None,
) -> DAG:
    """A DAG under this policy. `schedule`: a cron expression in UTC, assets, or None for started by hand alone.

    No DAG is paused: one that starts on an asset would miss it. A cron DAG first runs at its next time, never at once.
    """
    return DAG(
        dag_id=dag_id, schedule=CronTriggerTimetable(schedule, timezone="UTC") if isinstance(schedule, str) else schedule,
        catchup=False, max_active_runs=1, is_paused_upon_creation=False, tags=[TAG, *room_tags(schedule)], doc_md=doc,
        default_args={"owner": OWNER, "retries": RETRIES, "retry_delay": RETRY_DELAY, "do_xcom_push": True},
        params={"as_of": day("every day before this one; default: the day of the run"),
                "from": day("first day; default: the day before as_of"), **(params or {})},
        user_defined_macros={"as_of": as_of, "first_day": first_day})


def room_tags(schedule: str | list[Asset] | None) -> list[str]:
    return ["by hand"] if schedule is None else ["on a clock"] if isinstance(schedule, str) else ["on an asset"]


def evaluate() -> Command:
    """Compare the rankers over the run's `days`, or over as many as the settings say."""
    days = "{% if params.days %}--days {{ params.days }}{% endif %}"
    return command("evaluate", "model.evaluate", "--as-of", AS_OF, days)


EVALUATED_DAYS = Param(None, type=["null", "integer"], minimum=1, description="days in the evaluation; default: the settings")


def day(about: str) -> Param:
    return Param(None, type=["null", "string"], pattern=r"^\d{4}-\d{2}-\d{2}$", description=about)


def version(about: str) -> Param:
    return Param(None, type=["null", "string"], pattern=r"^[A-Za-z0-9._-]+$", description=about)


@pass_context
def as_of(context: Mapping[str, Any]) -> str:
    """The day a run is for: what it was given, else the last day its assets name, else the day it was scheduled for."""
    given = context["params"].get("as_of")
    named = [extra["as_of"] for extra in asset_extras(context)]
    end = context.get("data_interval_end")
    if not (given or named or end):
        raise ValueError('this run needs a day: trigger it with {"as_of": "YYYY-MM-DD"}')
    return given or max(named, default=None) or end.strftime("%Y-%m-%d")


@pass_context
def first_day(context: Mapping[str, Any]) -> str:
    """The first day a run is for: what it was given, else the first its assets name, else the day before as_of."""
    given = context["params"].get("from")
    named = [extra["from"] for extra in asset_extras(context)] if not context["params"].get("as_of") else []
    return given or min(named, default=None) or (date.fromisoformat(as_of(context)) - timedelta(days=1)).isoformat()


def asset_extras(context: Mapping[str, Any]) -> list[dict[str, str]]:
    """Of the events that started this run: several, where they came faster than runs could start."""
    events = context.get("triggering_asset_events") or {}
    return [event.extra for listed in events.values() for event in listed]
