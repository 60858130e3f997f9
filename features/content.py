"""What the encoder sees of an item: one token for its text, one for its own vector, one per attribute field.

Training and inference share this code, so a value means the same in both. An attribute's token is looked up in a
vocabulary; a value the training never saw takes its field's row 0 and still carries the meaning of its words. A value
without a letter ("4711") is an id or a number: its spelling means nothing, so it has no words.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue import ItemContent
from features.errors import DataError
from features.text_vectors import clean_text, text_vectors

MAX_FIELDS = 12
MAX_VALUES_PER_FIELD = 4_096
MIN_VALUE_COUNT = 2
TEXT_TOKEN, VECTOR_TOKEN, FIRST_FIELD_TOKEN = 0, 1, 2  # places of the tokens
UNKNOWN_ID = "#"


@dataclass(frozen=True)
class ContentSchema:
    """The modalities an encoder was trained on. `values[f]` lists field f's known values; row 0 is any other value."""

    fields: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    vector_width: int  # of the items' own vectors; 0 = they have none

    def __post_init__(self) -> None:
        if len(self.fields) != len(self.values) or len(set(self.fields)) != len(self.fields) or self.vector_width < 0:
            raise ValueError(f"expected distinct fields with one value list each and a vector width >= 0, got {self.fields!r}, "
                             f"{len(self.values)} lists, {self.vector_width}")

    @property
    def num_tokens(self) -> int:
        return FIRST_FIELD_TOKEN + len(self.fields)

    @property
    def num_values(self) -> int:
        """Rows of the value table: every field's row 0 and its known values."""
        return sum(1 + len(known) for known in self.values)

    @cached_property
    def value_rows(self) -> list[dict[str, int]]:
        """Per field: value -> row of the value table; "" and any other -> the field's row 0."""
        tables, first = [], 0
        for known in self.values:
            tables.append({"": first} | {value: first + 1 + n for n, value in enumerate(known)})
            first += 1 + len(known)
        return tables


class ContentKey(NamedTuple):
    """An item as the encoder sees it: items of equal key have equal vectors and equal SIDs."""

    text: str
    values: tuple[str, ...]
    vector: bytes

    def is_empty(self) -> bool:
        return not (self.text or any(self.values) or self.vector)


class TokenBatch(NamedTuple):
    """n items as tokens of T = 2 + F kinds. Texts are stored once: rows point into `texts` (row 0 = no text, zeros)."""

    texts: NDArray[np.float32]  # [U, 256]
    text_rows: NDArray[np.int32]  # [n, T]: title, the vector token's 0, attribute values
    value_rows: NDArray[np.int32]  # [n, F] into the value table
    vectors: NDArray[np.float32]  # [n, V]
    present: NDArray[np.bool_]  # [n, T]


def learn_schema(items: Sequence[ItemContent]) -> ContentSchema:
    """The most frequent fields and values of a catalogue, sorted, so that equal catalogues give equal schemas.

    The width of the items' own vectors is the commonest one; `content_faults` then names the items of another width.
    """
    counts: dict[str, Counter[str]] = {}
    widths: Counter[int] = Counter()
    for item in items:
        for field, value in item.attributes.items():
            if cleaned := clean_text(value):
                counts.setdefault(field, Counter())[cleaned] += 1
        if item.vector is not None:
            widths[len(item.vector)] += 1
    frequent = sorted(counts, key=lambda field: (-counts[field].total(), field))[:MAX_FIELDS]
    fields = tuple(sorted(frequent))
    values = []
    for field in fields:
        known = [value for value, count in counts[field].items() if count >= MIN_VALUE_COUNT]
        known.sort(key=lambda value, of=counts[field]: (-of[value], value))  # type: ignore[misc]
        values.append(tuple(sorted(known[:MAX_VALUES_PER_FIELD])))
    return ContentSchema(fields, tuple(values), max(widths, key=lambda width: (widths[width], width), default=0))


def content_faults(items: Sequence[ItemContent], schema: ContentSchema) -> dict[int, str]:
    """Position -> what is wrong with that item's content; empty when all can be encoded."""
    faults = {}
    for position, item in enumerate(items):
        if fault := content_fault(item, schema.vector_width):
            faults[position] = fault
    return faults


def content_fault(item: ItemContent, vector_width: int) -> str | None:
    if item.title is not None and not isinstance(item.title, str):
        return f"title must be text, got {type(item.title).__name__}"
    if not isinstance(item.attributes, dict) or not all(isinstance(value, str) for value in item.attributes.values()):
        return f"attributes must map names to strings, got {str(item.attributes)[:80]}"
    if item.vector is None or not vector_width:
        return None
    try:
        vector = np.asarray(item.vector, np.float32)
    except (TypeError, ValueError):
        return f"vector must be numbers, got {str(item.vector)[:80]}"
    if vector.shape != (vector_width,):
        return f"vector must have {vector_width} numbers, as in training, got shape {vector.shape}"
    if not math.isfinite(float(np.abs(vector).sum())):
        return "vector must be finite, got NaN or infinity"
    return None


def content_keys(items: Sequence[ItemContent], schema: ContentSchema) -> list[ContentKey]:
    """What the encoder can tell apart: an id that it never saw becomes UNKNOWN_ID, for it has neither a row nor words.

    Raises DataError: items that cannot be encoded (the first five spelled out).
    """
    if faults := content_faults(items, schema):
        shown = "; ".join(f"item at {position}: {fault}" for position, fault in list(faults.items())[:5])
        raise DataError(f"{len(faults)} of {len(items)} items cannot be encoded ({shown}): correct or leave them out")
    clean, known = lru_cache(maxsize=None)(clean_text), schema.value_rows

    def value(item: ItemContent, f: int) -> str:
        cleaned = clean(item.attributes.get(schema.fields[f]))
        return cleaned if cleaned in known[f] or words_of(cleaned) else UNKNOWN_ID

    return [ContentKey(clean(item.title), tuple(value(item, f) for f in range(len(schema.fields))),
                       own_vector(item.vector) if schema.vector_width else b"") for item in items]


def own_vector(vector: Sequence[float] | None) -> bytes:
    # Adding 0 turns -0.0 into 0.0: equal vectors, equal keys.
    return b"" if vector is None else (np.asarray(vector, np.float32) + np.float32(0)).tobytes()


def tokenise(keys: Sequence[ContentKey], schema: ContentSchema) -> TokenBatch:
    """Keys to token inputs; a missing modality is absent from `present`."""
    text_row: dict[str, int] = {"": 0}
    rows = schema.value_rows
    text_rows = np.zeros((len(keys), schema.num_tokens), np.int32)
    value_rows = np.zeros((len(keys), len(schema.fields)), np.int32)
    vectors = np.zeros((len(keys), schema.vector_width), np.float32)
    for n, key in enumerate(keys):
        text_rows[n, TEXT_TOKEN] = text_row.setdefault(key.text, len(text_row))
        for f, value in enumerate(key.values):
            text_rows[n, FIRST_FIELD_TOKEN + f] = text_row.setdefault(words_of(value), len(text_row))
            value_rows[n, f] = rows[f].get(value, rows[f][""])
        if key.vector:
            vectors[n] = np.frombuffer(key.vector, np.float32)
    present = np.array([[bool(key.text), bool(key.vector), *map(bool, key.values)] for key in keys], bool)
    present = present.reshape(len(keys), schema.num_tokens)
    return TokenBatch(text_vectors(list(text_row)), text_rows, value_rows, vectors, present)


def words_of(value: str) -> str:
    return value if any(map(str.isalpha, value)) else ""


def schema_to_json(schema: ContentSchema) -> dict[str, Any]:
    return {"fields": list(schema.fields), "values": [list(known) for known in schema.values],
            "vector_width": schema.vector_width}


def schema_from_json(text: dict[str, Any]) -> ContentSchema:
    return ContentSchema(tuple(text["fields"]), tuple(tuple(known) for known in text["values"]), int(text["vector_width"]))
