"""Online rows as arrays: what a read of the online store means, and what stands in for a missing row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.names import (
    CLICK_7D,
    EXPOSURE_7D,
    VIEW_MATURITY,
    VIEW_PROFILE,
    VIEW_USER_HISTORY,
)
from features.online_reader import Row
from features.sid_places import PLACES
from features.spec import MISSING_CODE, NUM_LEVELS

MISSING_TIME_MS = -1
EXPOSURE_OF, CLICK_OF = f"{VIEW_MATURITY}:{EXPOSURE_7D}", f"{VIEW_MATURITY}:{CLICK_7D}"
PUBLISHED_OF, TITLE_OF = f"{VIEW_PROFILE}:published_at_ms", f"{VIEW_PROFILE}:title"
TAKEN_OF, TIMES_OF = f"{VIEW_USER_HISTORY}:item_ids", f"{VIEW_USER_HISTORY}:event_times_ms"


@dataclass(frozen=True)
class ItemRows:
    """C items as the store knows them, in the order asked; an item asked for twice is there twice.

    codes: int32[C, 4], the SID given last, -1 where the item has none; codebook_version: object[C], "" there.
    other_codes, other_codebook: the same of the store's other codebook (features/sid_places.py).
    exposure_7d, click_7d: int64[C], 0 where no row was ever published; maturity_tick_ms: int64[C], -1 there.
    published_at_ms: int64[C], -1 where the catalogue does not know the item; titles: object[C], "" where it has none.
    """

    item_ids: NDArray[np.object_]
    codes: NDArray[np.int32]
    codebook_version: NDArray[np.object_]
    other_codes: NDArray[np.int32]
    other_codebook: NDArray[np.object_]
    exposure_7d: NDArray[np.int64]
    click_7d: NDArray[np.int64]
    maturity_tick_ms: NDArray[np.int64]
    published_at_ms: NDArray[np.int64]
    titles: NDArray[np.object_]

    def codes_of(self, codebook: str | None) -> NDArray[np.int32]:
        """int32[C, 4]: the SIDs of one codebook, -1 where the store has none of it."""
        others = np.where((self.other_codebook == codebook)[:, None], self.other_codes, np.int32(MISSING_CODE))
        return np.where((self.codebook_version == codebook)[:, None], self.codes, others)


@dataclass(frozen=True)
class UserTakes:
    """A user's newest takes, oldest first: item_ids object[T], event_times_ms int64[T]; version_ms -1 where unknown."""

    item_ids: NDArray[np.object_]
    event_times_ms: NDArray[np.int64]
    version_ms: int


def item_rows(item_ids: Sequence[str], stored: Sequence[Row]) -> ItemRows:
    size = len(item_ids)
    codes = np.full((2, size, NUM_LEVELS), MISSING_CODE, np.int32)
    versions = np.full((2, size), "", object)
    titles = np.full(size, "", object)
    exposure, click = np.zeros(size, np.int64), np.zeros(size, np.int64)
    tick, published = np.full(size, MISSING_TIME_MS, np.int64), np.full(size, MISSING_TIME_MS, np.int64)
    for place, row in enumerate(stored):
        for n, sid in enumerate(sorted(PLACES.values(), key=lambda sid: -row.get(sid.view, MISSING_TIME_MS))):
            if sid.view in row and len(given := row[f"{sid.view}:{sid.codes}"].int64_list_val.val) == NUM_LEVELS:
                codes[n, place], versions[n, place] = given, row[f"{sid.view}:{sid.codebook}"].string_val
        if EXPOSURE_OF in row:
            exposure[place], click[place] = row[EXPOSURE_OF].int64_val, row[CLICK_OF].int64_val
            tick[place] = row[VIEW_MATURITY]
        if PUBLISHED_OF in row:
            published[place], titles[place] = row[PUBLISHED_OF].int64_val, row[TITLE_OF].string_val
    return ItemRows(np.array(item_ids, object), codes[0], versions[0], codes[1], versions[1], exposure, click, tick, published,
                    titles)


def user_takes(row: Row) -> UserTakes:
    if TAKEN_OF not in row:
        return UserTakes(np.empty(0, object), np.empty(0, np.int64), MISSING_TIME_MS)
    return UserTakes(np.array(row[TAKEN_OF].string_list_val.val, object), np.array(row[TIMES_OF].int64_list_val.val, np.int64),
                     row[VIEW_USER_HISTORY])
