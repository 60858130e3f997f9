"""How a verb of `gatesid` calls a room: as that room's own command. And the options that several verbs share."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

CHECKOUT = Path(__file__).resolve().parents[1]
PLAIN: dict[str, Any] = {
    "rich_markup_mode": None, "no_args_is_help": True, "add_completion": False, "pretty_exceptions_enable": False}
# Options that a verb does not name go to the room's command as they are.
REST: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}

AsOf = Annotated[str, typer.Option("--as-of", metavar="D", help="UTC day YYYY-MM-DD: every day before it, itself excluded")]
From = Annotated[str | None, typer.Option("--from", metavar="D0", help="first day; default: the day before --as-of")]


def room(module: str, *arguments: str) -> NoReturn:
    """Become `python -m module arguments`: its output, its signals and its exit code are this command's.

    -P keeps folders of the working directory from hiding the project's packages.
    """
    sys.stdout.flush()
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], {**os.environ, "PYTHONPATH": path})


def flags(**values: object) -> list[str]:
    """["--as-of", "2026-01-01"] of as_of="2026-01-01"; what is None is left out. A trailing _ is dropped."""
    given = {name.strip("_").replace("_", "-"): value for name, value in values.items() if value is not None}
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]
