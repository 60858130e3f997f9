"""What one read of the online store brought, column by column, as arrays.

Stored values are parsed once and remembered by their bytes: most candidates were candidates a moment ago, and a version, a time
or a count is one of few.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.online_reader import Columns
from features.spec import MISSING_CODE, NUM_LEVELS

MISSING_TIME_MS = -1
REMEMBERED = 65_536  # of each kind, about 300 bytes each
NO_CODES = (MISSING_CODE,) * NUM_LEVELS
Held = TypeVar("Held")


class StoredValues:
    """The columns of one read as arrays. A value that does not parse counts as missing and marks its row in `unreadable`."""

    def __init__(self, stored: Columns, unreadable: NDArray[np.bool_]) -> None:
        self.stored, self.unreadable = stored, unreadable

    def numbers(self, name: str, missing: int) -> NDArray[np.int64]:
        return np.array(self.column(name, number, missing), np.int64)

    def texts(self, name: str) -> NDArray[np.object_]:
        return np.array(self.column(name, text, ""), object)

    def codes(self, name: str) -> NDArray[np.int32]:
        """int32[C, 4]; -1 where there is no list of four."""
        given = self.column(name, four_codes, NO_CODES)
        return np.fromiter(chain.from_iterable(given), np.int32, len(given) * NUM_LEVELS).reshape(-1, NUM_LEVELS)

    def times(self, view: str) -> NDArray[np.int64]:
        """When the view's rows are of, in milliseconds."""
        return np.array(self.column(view, milliseconds, MISSING_TIME_MS), np.int64)

    def column(self, name: str, parse: Callable[[bytes], Held], missing: Held) -> list[Held]:
        try:
            return [parse(stored) if stored else missing for stored in self.stored[name]]
        except protobuf()[2]:
            self.stored[name] = [self.readable(parse, place, stored) for place, stored in enumerate(self.stored[name])]
            return self.column(name, parse, missing)

    def readable(self, parse: Callable[[bytes], Any], place: int, stored: bytes | None) -> bytes | None:
        try:
            parse(stored or b"")
            return stored
        except protobuf()[2]:
            self.unreadable[place] = True
            return None


@lru_cache(REMEMBERED)
def number(stored: bytes) -> int:
    return int(value(stored).int64_val)


@lru_cache(REMEMBERED)
def text(stored: bytes) -> str:
    return str(value(stored).string_val)


@lru_cache(REMEMBERED)
def four_codes(stored: bytes) -> tuple[int, ...]:
    codes = tuple(value(stored).int64_list_val.val)
    return codes if len(codes) == NUM_LEVELS else NO_CODES


@lru_cache(REMEMBERED)
def milliseconds(stored: bytes) -> int:
    stamp = protobuf()[1](stored)
    return int(stamp.seconds) * 1000 + int(stamp.nanos) // 1_000_000


def value(stored: bytes) -> Any:
    """A feast Value."""
    return protobuf()[0](stored)


@cache
def protobuf() -> tuple[Any, Any, type[Exception]]:
    """The parsers of feast's values and of row times, and what they raise; imported late, as Feast takes seconds."""
    from feast.protos.feast.types.Value_pb2 import Value
    from google.protobuf.message import DecodeError
    from google.protobuf.timestamp_pb2 import Timestamp

    return Value.FromString, Timestamp.FromString, DecodeError
