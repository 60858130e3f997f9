"""`gatesid codebooks …`: the versions of the semantic-ID codebook."""

from typing import Annotated

import typer

from infra import room_command
from infra.room_command import PLAIN, AsOf, flags

codebooks = typer.Typer(help="The codebook versions: list, judge, compare, publish, switch, retire.", **PLAIN)
Version = Annotated[str, typer.Argument(metavar="V", help="a version, as `gatesid codebooks list` names it")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]


@codebooks.command("list")
def codebooks_list(as_json: Json = False) -> None:
    """Every codebook version.

    What it was made from, how many items have a SID of it, whether it is live, which models and served copies use it.

    Example: gatesid codebooks list
    """
    room_command.room("model.registry", "list", *(["--json"] if as_json else []))


@codebooks.command("show")
def codebooks_show(version: Version, as_json: Json = False) -> None:
    """The health of one codebook.

    Example: gatesid codebooks show cb-2026-11-22
    """
    room_command.room("model.registry", "show", version, *(["--json"] if as_json else []))


@codebooks.command("diff")
def codebooks_diff(
    old: Version, new: Version, as_json: Json = False,
    as_of: Annotated[str | None, typer.Option(help="weigh items by their impressions of the seven days before it too")] = None,
) -> None:
    """How many items have another code, level by level.

    Of the items that have a published SID in both.

    Example: gatesid codebooks diff cb-2026-11-15 cb-2026-11-22
    """
    room_command.room("model.registry", "diff", old, new, *flags(as_of=as_of), *(["--json"] if as_json else []))


@codebooks.command("publish")
def codebooks_publish(
    version: Version,
    instead_of: Annotated[str | None, typer.Option(help="the one you saw live (none: there was none); default: the one "
                                                        "live when the command starts")] = None,
) -> None:
    """Verify a codebook whole and make it live.

    For the first one; where a model is served, `switch` is meant. Refused where another one became live meanwhile. The stream
    gives new items SIDs of it from then on; models of another codebook are no longer promoted.

    Example: gatesid codebooks publish cb-2026-11-22
    """
    room_command.room("model.registry", "publish", version, *flags(instead_of=instead_of))


@codebooks.command("switch")
def codebooks_switch(
    version: Version, as_of: AsOf, ranker: Annotated[str, typer.Option(help="base or gatesid")],
    model: Annotated[int, typer.Option(help="YYYYMMDDNN, as `gatesid export` printed it")],
    rollback: Annotated[bool, typer.Option("--rollback", help="back to a codebook and model that served before")] = False,
) -> None:
    """Serve a codebook, its SIDs and a model that reads them, together or not at all.

    All of it is checked first. The DAG `rqvae_retrain` does this every week.

    Example: gatesid codebooks switch cb-2026-11-22 --as-of 2026-11-22 --ranker gatesid --model 2026112202
    """
    given = flags(as_of=as_of, codebook=version, ranker=ranker, version=model)
    room_command.room("serving.switch", *given, *(["--rollback"] if rollback else []))


@codebooks.command("retire")
def codebooks_retire(version: Version) -> None:
    """Delete a codebook that nothing in use refers to.

    Says what does, otherwise: live, a served model, a ranker's newest checkpoint, the online store.

    Example: gatesid codebooks retire cb-2026-11-15
    """
    room_command.room("model.registry", "retire", version)
