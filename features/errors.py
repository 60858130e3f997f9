"""The exception tree.

    GatesidError                 anything this project raises on purpose
    ├── ConfigError              settings: every fault listed, the process does not start
    ├── EnvironmentFault         Java, disk, ports, a process that did not come up
    ├── SchemaError              an input file or table does not have the contract's columns
    ├── DataError                an artefact fails its expectations; nothing is published
    ├── ArtefactError            a folder is half-written, altered, or of another version
    │   └── CodebookMismatch     a model met a codebook or contract it was not trained on
    ├── StreamError              state store, offsets or topics that do not fit together
    └── RequestError             a ranking request that cannot be answered (HTTP 4xx, the field named)

A message says what was expected, what arrived and what to do (CONVENTIONS: errors). Exit codes of every entry point:
0 done · 1 failed · 2 bad usage · 3 bad config or environment · 4 bad data (an expectation failed) · 5 artefact refused.
"""

import sys
from collections.abc import Callable


class GatesidError(Exception):
    exit_code = 1


class ConfigError(GatesidError):
    exit_code = 3


class EnvironmentFault(GatesidError):
    exit_code = 3


class SchemaError(GatesidError):
    exit_code = 4


class DataError(GatesidError):
    exit_code = 4


class ArtefactError(GatesidError):
    exit_code = 5


class CodebookMismatch(ArtefactError):
    pass


class StreamError(GatesidError):
    exit_code = 1


class RequestError(GatesidError):
    """A request that cannot be answered; `field` names the part of it at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


def exit_code(program: Callable[[], object]) -> int:
    """Run the body of an entry point: 0, or the code of the GatesidError that ended it, whose message goes to stderr."""
    try:
        program()
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    return 0
