"""The one list of model inputs: name, dtype, shape, side and the default of a missing row.

`training_frame` writes these columns, `model/dataset.py` reads them, `serving/signature.py` exports them and
`serving/assemble.py` fills them. The list's hash is in every artefact; another hash is refused.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

HISTORY_LENGTH = 50
HISTORY_KEPT = 500
NUM_LEVELS = 4
CODEBOOK_SIZE = 256
PADDING_ROW = 0
OOV_ROW = 1
FIRST_ROW = 2
MISSING_CODE = -1


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One tensor. `shape` leaves the batch axis out; `side` says whether a request has one of it or one per candidate.

    `version`: of its meaning, raised where the same name is filled from another version of a view (features/README.md).
    """

    name: str
    dtype: Literal["int32", "float32"]
    shape: tuple[int, ...]
    side: Literal["user", "item"]
    default: float
    about: str
    version: int = 1


RANKING_INPUTS = (
    InputSpec("user_row", "int32", (), "user", OOV_ROW, "row in the user index; 1 = unknown"),
    InputSpec("hour_of_day", "int32", (), "user", 0, "UTC hour of the request, 0-23"),
    InputSpec("day_of_week", "int32", (), "user", 0, "Monday = 0, UTC"),
    InputSpec("history_rows", "int32", (HISTORY_LENGTH,), "user", PADDING_ROW,
              "item rows of the last distinct items taken, newest first; 0 = padding"),
    InputSpec("history_codes", "int32", (HISTORY_LENGTH, NUM_LEVELS), "user", MISSING_CODE,
              "their SIDs in the model's codebook version; -1 = no code"),
    InputSpec("item_row", "int32", (), "item", OOV_ROW, "row in the item index; 1 = unknown"),
    InputSpec("item_codes", "int32", (NUM_LEVELS,), "item", MISSING_CODE, "SID in the model's codebook version; -1 = no code"),
    InputSpec("item_stats", "float32", (3,), "item", 0, "raw online_days, exposure_7d, click_7d, in that order"),
    InputSpec("repeat_count", "float32", (), "item", 0, "how often this user took this item, of the last 500 takes"),
    InputSpec("repeat_age_days", "float32", (), "item", -1, "days since this user last took this item; -1 = never"),
)

INPUTS_BY_NAME = {spec.name: spec for spec in RANKING_INPUTS}


def contract_hash() -> str:
    """12 hex digits over every input's name, dtype, shape, side and default, and its version from the second on."""
    listed = [(s.name, s.dtype, s.shape, s.side, s.default) + ((s.version,) if s.version > 1 else ()) for s in RANKING_INPUTS]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12]
