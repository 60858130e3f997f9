"""Online rows as arrays: what a read of the online store means, and what stands in for a missing row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.names import (
    CLICK_7D,
    CODEBOOK_VERSION,
    CODES,
    EXPOSURE_7D,
    VIEW_MATURITY,
    VIEW_PROFILE,
    VIEW_SEMANTIC_ID,
    VIEW_USER_HISTORY,
)
from features.online_reader import Columns
from features.spec import MISSING_CODE
from features.stored_values import MISSING_TIME_MS, StoredValues

EXPOSURE_OF, CLICK_OF = f"{VIEW_MATURITY}:{EXPOSURE_7D}", f"{VIEW_MATURITY}:{CLICK_7D}"
CODES_OF, VERSION_OF = f"{VIEW_SEMANTIC_ID}:{CODES}", f"{VIEW_SEMANTIC_ID}:{CODEBOOK_VERSION}"
PUBLISHED_OF, TITLE_OF = f"{VIEW_PROFILE}:published_at_ms", f"{VIEW_PROFILE}:title"
TAKEN_OF, TIMES_OF = f"{VIEW_USER_HISTORY}:item_ids", f"{VIEW_USER_HISTORY}:event_times_ms"


@dataclass(frozen=True)
class ItemRows:
    """C items as the store knows them, in the order asked; an item asked for twice is there twice.

    codes: int32[C, 4], -1 where the item has no SID; codebook_version: object[C], "" there.
    exposure_7d, click_7d: int64[C], 0 where no row was ever published; maturity_tick_ms: int64[C], -1 there.
    published_at_ms: int64[C], -1 where the catalogue does not know the item; titles: object[C], "" where it has none.
    unreadable: bool[C], where a stored value is not what Feast writes and counts as missing.
    """

    item_ids: NDArray[np.object_]
    codes: NDArray[np.int32]
    codebook_version: NDArray[np.object_]
    exposure_7d: NDArray[np.int64]
    click_7d: NDArray[np.int64]
    maturity_tick_ms: NDArray[np.int64]
    published_at_ms: NDArray[np.int64]
    titles: NDArray[np.object_]
    unreadable: NDArray[np.bool_]


@dataclass(frozen=True)
class UserTakes:
    """A user's newest takes, oldest first: item_ids object[T], event_times_ms int64[T]; version_ms -1 where unknown."""

    item_ids: NDArray[np.object_]
    event_times_ms: NDArray[np.int64]
    version_ms: int


def item_rows(item_ids: Sequence[str], stored: Columns) -> ItemRows:
    unreadable = np.zeros(len(item_ids), bool)
    read = StoredValues(stored, unreadable)
    codes, versions = read.codes(CODES_OF), read.texts(VERSION_OF)
    versions[codes[:, 0] == MISSING_CODE] = ""
    return ItemRows(
        np.array(item_ids, object), codes, versions, read.numbers(EXPOSURE_OF, 0), read.numbers(CLICK_OF, 0),
        read.times(VIEW_MATURITY), read.numbers(PUBLISHED_OF, MISSING_TIME_MS), read.texts(TITLE_OF), unreadable)


def user_takes(stored: Columns) -> UserTakes:
    read = StoredValues(stored, np.zeros(1, bool))
    taken, times = read.values(TAKEN_OF)[0].string_list_val.val, read.values(TIMES_OF)[0].int64_list_val.val
    if len(taken) != len(times):
        taken = times = []
    return UserTakes(np.array(taken, object), np.array(times, np.int64), int(read.times(VIEW_USER_HISTORY)[0]))
