"""The `gatesid` command: one verb a function, each a thin call of the room that does the work.

Nothing heavy is imported here, so that `gatesid --help` answers at once: rooms run as processes of their own
(`python -m …`, the commands of features/README.md) and infra's own functions are imported by the verb that needs them.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.errors import GatesidError, RequestError
from infra import room_command
from infra.cli_codebooks import codebooks
from infra.cli_features import features
from infra.cli_stream import stream
from infra.room_command import PLAIN, REST, AsOf, From, flags

EXIT_CODES = (
    "Exit codes: 0 done · 1 failed · 2 bad usage · 3 bad configuration or environment · 4 bad data (an expectation failed) · "
    "5 artefact refused.")

app = typer.Typer(help="Cold-start ranking with semantic IDs and maturity gates.", epilog=EXIT_CODES, **PLAIN)
data = typer.Typer(help="Prepare a data set, or only check it.", **PLAIN)
app.add_typer(data, name="data")
app.add_typer(stream, name="stream")
app.add_typer(codebooks, name="codebooks")
app.add_typer(features, name="features")

Ranker = Annotated[str, typer.Option(help="base or gatesid")]
Seed = Annotated[int | None, typer.Option(help="default: [training] seed of the settings")]


def whole_path(given: str | None) -> str | None:
    """A room runs in the checkout, so files are named whole. What is no file stays: the simulator's --events is a number."""
    return str(Path(given).resolve()) if given and Path(given).exists() else given


File = Annotated[str | None, typer.Option(callback=whole_path)]
Services = Annotated[list[str] | None, typer.Argument(help="some of the services; default: all of them")]


@data.command("prepare", context_settings=REST)
def data_prepare(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="complete_journey, kuairand, simulator or own")] = None,
    events: File = None, items: File = None, columns: File = None, path: File = None,
) -> None:
    """Bring a data set into the project's schema.

    It is written under var/data/NAME; every fault is reported with sample rows.

    Further options are the data set's own: `python -m infra.datasets prepare NAME --help`.

    Example: gatesid data prepare --events shop/events.csv --items shop/items.csv --columns shop/columns.toml
    Example: gatesid data prepare simulator --users 2000 --items 500 --days 30 --events 1000000
    """
    given = flags(events=events, items=items, columns=columns, path=path)
    room_command.room("infra.datasets", "prepare", data_set(name, events), *given, *context.args)


@data.command("validate", context_settings=REST)
def data_validate(
    context: typer.Context, name: Annotated[str | None, typer.Argument(help="own")] = None,
    events: File = None, items: File = None, columns: File = None,
) -> None:
    """Check your own events and items.

    Example: gatesid data validate --events shop/events.csv --items shop/items.csv
    """
    given = flags(events=events, items=items, columns=columns)
    room_command.room("infra.datasets", "validate", data_set(name, events), *given, *context.args)


def data_set(name: str | None, events: str | None) -> str:
    if name is None and events is None:
        raise typer.BadParameter("expected a data set's name, or --events and --items of your own")
    return name or "own"


@app.command()
def demo(
    data_set: Annotated[str | None, typer.Option("--data", help="a prepared data set of your own")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="run the bootstrap also where its results are kept")] = False,
) -> None:
    """Everything, end to end, on the default data or on yours.

    Killed, it goes on where it was; finished, it starts anew, from the bootstrap's results where data, settings and code are
    the same.

    Example: gatesid demo
    Example: gatesid demo --data own
    """
    room_command.room("infra.demo", *flags(data=data_set), *(["--fresh"] if fresh else []))


@app.command()
def up(services: Services = None) -> None:
    """Start the local stack.

    Waits until each service is healthy and prints addresses and logins.

    Example: gatesid up
    Example: gatesid up kafka valkey
    """
    from infra import local_stack

    local_stack.start(services)


@app.command()
def down(services: Services = None) -> None:
    """Stop what `up` or `demo` started.

    Exactly that, with all descendants, also after a crash.

    Example: gatesid down
    """
    from infra import local_stack

    if not local_stack.stop(services):
        typer.echo("nothing was running")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """What runs where.

    Exit code 1 when a service that was started is not healthy.

    Example: gatesid status --json
    """
    from dataclasses import asdict

    from infra import local_stack

    rows = local_stack.status()
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        typer.echo("\n".join(local_stack.describe()) or "nothing was started; `gatesid up` does")
    raise typer.Exit(1 if any(row.state in ("unhealthy", "ended") for row in rows) else 0)


@app.command(context_settings=REST)
def train(
    context: typer.Context, what: Annotated[str, typer.Argument(help="encoder, rqvae, or a ranker: base, gatesid")],
    as_of: AsOf, first: From = None, seed: Seed = None,
    codebook: Annotated[str | None, typer.Option(help="codebook version, for a ranker")] = None,
    encoder: Annotated[str | None, typer.Option(help="encoder version, for rqvae")] = None,
) -> None:
    """Train an encoder, a codebook or a ranker.

    A ranker goes on from its last checkpoint, day by day; further options are those of `python -m model.train_ranker --help`.

    Example: gatesid train gatesid --from 2026-11-20 --as-of 2026-11-21 --codebook cb-2026-11-20
    """
    if what == "encoder":
        room_command.room("model.train_encoder", *flags(as_of=as_of), *context.args)
    if what == "rqvae":
        room_command.room("model.train_rqvae", *flags(as_of=as_of, encoder=encoder), *context.args)
    given = flags(ranker=what, from_=first, as_of=as_of, seed=seed, codebook=codebook)
    room_command.room("model.train_ranker", *given, *context.args)


@app.command()
def evaluate(
    as_of: AsOf, days: Annotated[int, typer.Option(help="how many days before --as-of")] = 30,
    seeds: Annotated[str | None, typer.Option(help="e.g. 1,2,3; default: the seed of the settings")] = None,
) -> None:
    """Compare the rankers, overall and by slice.

    Example: gatesid evaluate --as-of 2026-11-22 --days 30 --seeds 1,2,3
    """
    room_command.room("model.evaluate", *flags(as_of=as_of, days=days, seeds=seeds))


@app.command(context_settings=REST)
def compare(
    context: typer.Context,
    rankers: Annotated[str | None, typer.Option(help="with commas between, or all; the first is the yardstick")] = None,
    seeds: Annotated[int | None, typer.Option(help="how many; default: 3, with --quick 1")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="D0", help="default: the frame's first day")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="D", help="default: the day after the frame's last")] = None,
    report_days: Annotated[int | None, typer.Option(help="how many days the table is of, the last ones")] = None,
    name: Annotated[str | None, typer.Option(help="of the run, which goes on if it exists")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="one seed, the last 30 days, the live codebook, untuned")] = False,
) -> None:
    """Train rankers with several seeds and compare them.

    Day by day, each scored before it is learnt from, in a folder of its own: nothing that is served changes. Rates are tuned on
    the first third of the days; codebooks are fitted for each seed, before the first reported day. Killed, it goes on where it
    was; more seeds reuse what is finished. Further options: `python -m model.compare --help`.

    Example: gatesid compare --seeds 3
    Example: gatesid compare --quick
    Example: gatesid compare --rankers all --presets practical,paper --seeds 5 --tune-days 30
    """
    given = flags(rankers=rankers, seeds=seeds, from_=first, as_of=as_of, report_days=report_days, name=name)
    room_command.room("model.compare", *given, *(["--quick"] if quick else []), *context.args)


@app.command()
def export(ranker: Ranker, as_of: AsOf, seed: Seed = None) -> None:
    """Write a trained ranker as a SavedModel.

    The last line is its version.

    Example: gatesid export --ranker gatesid --as-of 2026-11-22
    """
    room_command.room("serving.export", *flags(ranker=ranker, as_of=as_of, seed=seed))


@app.command()
def promote(ranker: Ranker, version: Annotated[int, typer.Option(help="YYYYMMDDNN, as `gatesid export` printed it")]) -> None:
    """Let the model server have an exported model.

    Its golden requests must score as they did when it was exported.

    Example: gatesid promote --ranker gatesid --version 2026112201
    """
    room_command.room("serving.promote", *flags(ranker=ranker, version=version))


@app.command()
def serve(what: Annotated[str, typer.Argument(help="model (TF Serving's API) or ranking (the ranking API)")]) -> None:
    """Run one server in the foreground.

    Example: gatesid serve model
    """
    servers = {"model": "serving.model_server", "ranking": "serving.ranking_api"}
    if what not in servers:
        raise typer.BadParameter(f"expected model or ranking, got {what!r}")
    room_command.room(servers[what])


@app.command()
def rank(
    user: Annotated[str, typer.Option(help="user id; an unknown one gets the defaults")],
    candidates: Annotated[str, typer.Option(help="item ids, with commas between")],
    as_json: Annotated[bool, typer.Option("--json", help="the reply as it came")] = False,
) -> None:
    """Ask the ranking API for an order.

    Shows what each score was made from.

    Example: gatesid rank --user 1228 --candidates 1029743,1082185,995242
    """
    from infra import rank_call
    from infra.settings import load_settings

    listed = [item for item in candidates.split(",") if item]
    if not listed:
        raise RequestError("candidates", "expected item ids with commas between, got none")
    reply = rank_call.post(load_settings(), user, listed)
    typer.echo(json.dumps(reply, indent=1) if as_json else rank_call.table(reply))


@app.command(context_settings=REST)
def report(
    context: typer.Context,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="D", help="of the evaluation to show, YYYY-MM-DD")] = None,
    comparison: Annotated[str | None, typer.Option(metavar="NAME", help="of a finished `gatesid compare`, instead")] = None,
) -> None:
    """Write an HTML page: the report, or a comparison.

    Example: gatesid report --as-of 2026-11-22
    Example: gatesid report --comparison 2026-11-22
    """
    room_command.room("infra.report", *flags(as_of=as_of, comparison=comparison), *context.args)


def main() -> None:
    """Run the command. A fault that the project raises on purpose becomes its message and its exit code."""
    try:
        app(prog_name="gatesid")
    except GatesidError as fault:
        typer.echo(f"gatesid: {fault}", err=True)
        sys.exit(fault.exit_code)


if __name__ == "__main__":
    main()
