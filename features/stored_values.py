"""What one read of the online store brought, column by column, as arrays."""

from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.online_reader import Columns
from features.spec import MISSING_CODE, NUM_LEVELS

MISSING_TIME_MS = -1


class StoredValues:
    """The columns of one read as arrays. A value that does not parse counts as missing and marks its row in `unreadable`."""

    def __init__(self, stored: Columns, unreadable: NDArray[np.bool_]) -> None:
        self.stored, self.unreadable = stored, unreadable
        self.value, self.timestamp, self.fault = protobuf()

    def numbers(self, name: str, missing: int) -> NDArray[np.int64]:
        found = np.array([value.int64_val for value in self.values(name)], np.int64)
        return np.where(self.absent(name), missing, found) if missing else found

    def texts(self, name: str) -> NDArray[np.object_]:
        return np.array([value.string_val for value in self.values(name)], object)

    def codes(self, name: str) -> NDArray[np.int32]:
        """int32[C, 4]; -1 where there is no list of four."""
        given = [value.int64_list_val.val for value in self.values(name)]
        whole = np.array([len(codes) == NUM_LEVELS for codes in given], bool)
        found = np.full((len(given), NUM_LEVELS), MISSING_CODE, np.int32)
        listed = chain.from_iterable(given if whole.all() else [codes for codes in given if len(codes) == NUM_LEVELS])
        found[whole] = np.fromiter(listed, np.int32).reshape(-1, NUM_LEVELS)
        return found

    def times(self, view: str) -> NDArray[np.int64]:
        """When the view's rows are of, in milliseconds."""
        stamps = self.parsed(self.timestamp, view)
        found = np.array([stamp.seconds * 1000 + stamp.nanos // 1_000_000 for stamp in stamps], np.int64)
        return np.where(self.absent(view), MISSING_TIME_MS, found)

    def values(self, name: str) -> list[Any]:
        return self.parsed(self.value, name)

    def absent(self, name: str) -> NDArray[np.bool_]:
        return np.array([not text for text in self.stored[name]], bool)

    def parsed(self, parse: Any, name: str) -> list[Any]:
        try:
            absent = parse(b"")
            return [parse(text) if text else absent for text in self.stored[name]]
        except self.fault:
            self.stored[name] = [self.readable(parse, place, text) for place, text in enumerate(self.stored[name])]
            return self.parsed(parse, name)

    def readable(self, parse: Any, place: int, text: bytes | None) -> bytes | None:
        try:
            parse(text or b"")
            return text
        except self.fault:
            self.unreadable[place] = True
            return None


@cache
def protobuf() -> tuple[Any, Any, type[Exception]]:
    """The parsers of feast's values and of row times, and what they raise; imported late, as Feast takes seconds."""
    from feast.protos.feast.types.Value_pb2 import Value
    from google.protobuf.message import DecodeError
    from google.protobuf.timestamp_pb2 import Timestamp

    return Value.FromString, Timestamp.FromString, DecodeError
