"""Online rows as arrays: what a read of the online store means, and what stands in for a missing row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.names import CLICK_7D, EXPOSURE_7D, VIEW_MATURITY, VIEW_PROFILE, VIEW_USER_HISTORY
from features.online_reader import Columns
from features.sid_places import PLACES, Place
from features.spec import MISSING_CODE
from features.stored_values import MISSING_TIME_MS, StoredValues

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
    unreadable: bool[C], where a stored value is not what Feast writes and counts as missing.
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
    unreadable: NDArray[np.bool_]

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


def item_rows(item_ids: Sequence[str], stored: Columns) -> ItemRows:
    unreadable = np.zeros(len(item_ids), bool)
    read = StoredValues(stored, unreadable)
    (codes_a, versions_a, given_a), (codes_b, versions_b, given_b) = (sids_of(read, place) for place in PLACES.values())
    b_last = given_b > given_a
    return ItemRows(
        np.array(item_ids, object),
        np.where(b_last[:, None], codes_b, codes_a), np.where(b_last, versions_b, versions_a),
        np.where(b_last[:, None], codes_a, codes_b), np.where(b_last, versions_a, versions_b),
        read.numbers(EXPOSURE_OF, 0), read.numbers(CLICK_OF, 0), read.times(VIEW_MATURITY),
        read.numbers(PUBLISHED_OF, MISSING_TIME_MS), read.texts(TITLE_OF), unreadable)


def sids_of(read: StoredValues, place: Place) -> tuple[NDArray[np.int32], NDArray[np.object_], NDArray[np.int64]]:
    """Codes, codebook versions and times of one place; -1, "" and -1 where it holds no SID."""
    codes, versions = read.codes(f"{place.view}:{place.codes}"), read.texts(f"{place.view}:{place.codebook}")
    versions[codes[:, 0] == MISSING_CODE] = ""
    return codes, versions, read.times(place.view)


def user_takes(stored: Columns) -> UserTakes:
    read = StoredValues(stored, np.zeros(1, bool))
    taken, times = read.values(TAKEN_OF)[0].string_list_val.val, read.values(TIMES_OF)[0].int64_list_val.val
    if len(taken) != len(times):
        taken = times = []
    return UserTakes(np.array(taken, object), np.array(times, np.int64), int(read.times(VIEW_USER_HISTORY)[0]))
