"""`gatesid features …`: what is served, held against the lake."""

import typer

from infra import room_command
from infra.room_command import PLAIN, REST, AsOf, From, flags

features = typer.Typer(help="Served features against the lake.", **PLAIN)


@features.command("audit", context_settings=REST)
def features_audit(context: typer.Context, as_of: AsOf, first: From = None) -> None:
    """Compare what was served with the lake.

    Each logged value with the offline row of the version that it names, feature by feature, with causes and freshness.
    Exit code 4 where a target is missed. Further options: `python -m features.audit --help`.

    Example: gatesid features audit --as-of 2026-11-22
    """
    room_command.room("features.audit", *flags(from_=first, as_of=as_of), *context.args)
