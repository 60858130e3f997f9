"""`gatesid stream …`: the verbs of the stream."""

from typing import Annotated

import typer

from infra import room_command
from infra.room_command import PLAIN, REST, AsOf, From, flags

stream = typer.Typer(help="Run the stream, replay history, check it.", **PLAIN)


@stream.command("run", context_settings=REST)
def stream_run(context: typer.Context, role: Annotated[str, typer.Option(help="maturity, lake or catalog")]) -> None:
    """Run one consumer in the foreground.

    Example: gatesid stream run --role maturity
    """
    room_command.room("streaming", "run", "--role", role, *context.args)


@stream.command("status")
def stream_status() -> None:
    """Positions, lag, watermark, counters.

    Example: gatesid stream status
    """
    room_command.room("streaming", "status")


@stream.command("verify")
def stream_verify(as_of: AsOf, first: From = None) -> None:
    """Compare the stream's rows with Spark's.

    Every maturity row that was published, against the rebuild.

    Example: gatesid stream verify --as-of 2026-11-22
    """
    room_command.room("streaming", "verify", *flags(from_=first, as_of=as_of))


@stream.command("replay", context_settings=REST)
def stream_replay(
    context: typer.Context, name: Annotated[str, typer.Argument(help="a prepared data set")], as_of: AsOf, first: From = None,
    speed: Annotated[float | None, typer.Option(help="times real time; default: as fast as it goes")] = None,
) -> None:
    """Play days of a data set through Kafka.

    In virtual time: the log carries the times of the data.

    Example: gatesid stream replay complete_journey --from 2026-11-20 --as-of 2026-11-22
    """
    room_command.room("streaming", "replay", name, *flags(from_=first, as_of=as_of, speed=speed), *context.args)


@stream.command("seed", context_settings=REST)
def stream_seed(context: typer.Context, as_of: AsOf) -> None:
    """Start the stream's state from Spark's.

    Example: gatesid stream seed --as-of 2026-11-20
    """
    room_command.room("streaming", "seed", *flags(as_of=as_of), *context.args)


@stream.command("dead-letters", context_settings=REST)
def stream_dead_letters(context: typer.Context, action: Annotated[str, typer.Argument(help="list or replay")]) -> None:
    """List refused records, or replay them after a fix.

    Options: --reason R, --limit N, --json; replay also --edited FILE.

    Example: gatesid stream dead-letters list --reason unknown_event_type
    """
    room_command.room("streaming", "dead-letters", action, *context.args)


@stream.command("state", context_settings=REST)
def stream_state(context: typer.Context, action: Annotated[str, typer.Argument(help="check, export or import")]) -> None:
    """Check, export or import the state store.

    Options: --folder PATH for export and import; --replace for import.

    Example: gatesid stream state export --folder backup/2026-11-25
    """
    room_command.room("streaming", "state", action, *context.args)


@stream.command("failure-matrix", context_settings=REST)
def stream_failure_matrix(context: typer.Context) -> None:
    """Break everything on purpose; then compare every row.

    On a broker and a store of its own. Options: --events N, --seed S, --only TEXT, --list.

    Example: gatesid stream failure-matrix --seed 7
    """
    room_command.room("streaming.failure_matrix", *context.args)
