"""The local stack: broker, Valkey, stream processes, model server, ranking API and Airflow on this machine.

    start(["kafka", "valkey"])      what already runs stays; returns when each is healthy
    stop()                          exactly what was started, with all descendants, also after a crash of the starter
    status(), describe()            what runs where, for programs and for people

There is no supervisor: processes outlive the command that started them, and <home>/run says which they are.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from features.errors import EnvironmentFault
from infra import airflow_stack
from infra.processes import POLL_S, Process, is_running, members, new_token, start_process, stop_process, tail
from infra.services import BY_NAME, SERVICES, Service
from infra.settings import CHECKOUT, Settings, load_settings
from infra.stack_state import Record, give_addresses, only_one, read_records, write_records


@dataclass(frozen=True)
class State:
    """One service now.

    state: healthy, unhealthy (it runs, but does not answer), ended (by itself), down (not started), or given (elsewhere).
    """

    name: str
    state: str
    pid: int
    address: str
    log: str


def start(names: list[str] | None = None, settings: Settings | None = None) -> Settings:
    """Start services and wait until each is healthy; what is healthy already is left alone.

    Args:
      names: which, None for all. One that lacks something it needs (a model, say) is named and left out.
    Returns: the settings with the addresses that the services were given.
    Raises EnvironmentFault: an unknown name, or a service that did not come up, with the end of its log. The rest keeps
      running, so that it can be looked at; `stop` ends it.
    """
    settings = settings or load_settings()
    wanted = choose(names)
    with only_one(settings.run_dir):
        records = read_records(settings.run_dir)
        alive = {name for name, record in records.items() if is_running(record.process)}
        fields = {field for name in alive for field in BY_NAME[name].addresses}
        settings = replace(settings, addresses=give_addresses(settings, fields))
        bring_up(wanted, settings, records, alive)
    return settings


def choose(names: list[str] | None) -> list[Service]:
    unknown = sorted(set(names or ()) - set(BY_NAME))
    if unknown:
        raise EnvironmentFault(f"unknown service {', '.join(unknown)}; expected some of: {', '.join(BY_NAME)}")
    return [service for service in SERVICES if names is None or service.name in names]


def bring_up(wanted: list[Service], settings: Settings, records: dict[str, Record], alive: set[str]) -> None:
    """Start what may start, watch what was started, until every wanted service is healthy or left out."""
    waiting, started, began = list(wanted), [], {}
    while waiting or started:
        pending = {service.name for service in waiting + started}
        for service in [s for s in waiting if not pending.intersection(s.after)]:
            waiting.remove(service)
            began[service.name] = time.monotonic()
            if service.given():
                say(f"{service.name:<16} {'given':>10}  {service.given():<21}  (set in the environment, not started here)")
                continue
            reason = service.missing(settings)
            if reason and service.name not in alive:
                say(f"{service.name:<16} left out: {reason}")
                continue
            if service.name not in alive:
                launch(service, settings, records)
            started.append(service)
        for service in list(started):
            seconds = time.monotonic() - began[service.name]
            if service.healthy(settings):
                service.settled(settings)
                started.remove(service)
                report(service, settings, records[service.name], time.monotonic() - began[service.name], service.name in alive)
            else:
                check_alive(service, records[service.name], seconds)
        time.sleep(POLL_S)


def launch(service: Service, settings: Settings, records: dict[str, Record]) -> None:
    """Start one service; it is written down before and after."""
    if service.name in records:
        stop_process(records[service.name].process)  # children that outlived it
    plan = service.launch(settings)
    log = settings.run_dir / "logs" / f"{service.name}.log"
    address = getattr(settings.addresses, service.addresses[0]) if service.addresses else ""
    token = new_token()
    env = {"GATESID_HOME": str(settings.home), "GATESID_ENV": settings.environment, "PYTHONUNBUFFERED": "1", **plan.env}
    records[service.name] = Record(service.name, Process(token, 0, 0), plan.command, str(log), address)
    write_records(settings.run_dir, records)
    process = start_process(plan.command, log, token=token, env=env, cwd=CHECKOUT)
    records[service.name] = replace(records[service.name], process=process)
    write_records(settings.run_dir, records)


def check_alive(service: Service, record: Record, seconds: float) -> None:
    ended = not is_running(record.process)
    if ended or seconds > service.within_s:
        what = "ended before it was healthy" if ended else f"was not healthy within {service.within_s:.0f} s"
        raise EnvironmentFault(f"{service.name} {what}; the end of {record.log}:\n{tail(Path(record.log))}")


def report(service: Service, settings: Settings, record: Record, seconds: float, was_up: bool) -> None:
    took = "already up" if was_up else f"{seconds:.1f} s"
    say(f"{service.name:<16} {took:>10}  {record.address:<21}  {record.log}")
    if service.name == "airflow":
        say(f"{'':<16} {'':>10}  login {airflow_stack.login(settings)}")


def stop(names: list[str] | None = None, settings: Settings | None = None) -> list[str]:
    """Stop services (None: all that were started), the last started first. Returns the names of those stopped."""
    settings = settings or load_settings()
    wanted = {service.name for service in choose(names)}
    if not settings.run_dir.is_dir():
        return []
    with only_one(settings.run_dir):
        records = read_records(settings.run_dir)
        stopped = []
        for service in reversed(SERVICES):
            record = records.get(service.name)
            if record is None or service.name not in wanted:
                continue
            if members(record.process):
                stop_process(record.process, grace_s=20.0)
                stopped.append(service.name)
                say(f"{service.name:<16} stopped")
            del records[service.name]
            write_records(settings.run_dir, records)
        if not records:  # the next start may have its wished ports again
            (settings.run_dir / "addresses.json").unlink(missing_ok=True)
    return stopped


def status(settings: Settings | None = None) -> list[State]:
    """Every service, whether it was started or not."""
    settings = settings or load_settings()
    records = read_records(settings.run_dir)
    return [state_of(service, records.get(service.name), settings) for service in SERVICES]


def state_of(service: Service, record: Record | None, settings: Settings) -> State:
    if service.given():
        return State(service.name, "given", 0, service.given() or "", "")
    if record is None:
        return State(service.name, "down", 0, "", "")
    if not is_running(record.process):
        return State(service.name, "ended", 0, record.address, record.log)
    state = "healthy" if service.healthy(settings) else "unhealthy"
    return State(service.name, state, record.process.pid, record.address, record.log)


def describe(settings: Settings | None = None) -> list[str]:
    """One line for each service that was started, for a person: address, state, login."""
    settings = settings or load_settings()
    lines = []
    for row in status(settings):
        if row.state == "down":
            continue
        web = row.name in ("airflow", "ranking-api", "model-server", "stream-maturity")
        address = f"http://{row.address}" if web else row.address
        login = f"  login {airflow_stack.login(settings)}" if row.name == "airflow" else ""
        lines.append(f"{row.name:<16} {row.state:<10} {address}{login}")
    return lines


def say(line: str) -> None:
    print(f"  {line}", flush=True)
