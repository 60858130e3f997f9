"""Online rows as arrays: what a read of Feast's online store means, missing values named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.names import CLICK_7D, CODEBOOK_VERSION, CODES, EXPOSURE_7D
from features.spec import MISSING_CODE, NUM_LEVELS

MISSING_TIME_MS = -1


@dataclass(frozen=True)
class ItemRows:
    """C items as the store knows them, in the order asked; an item asked for twice is there twice.

    codes: int32[C, 4], -1 where the item has no SID; codebook_version: object[C], "" there.
    exposure_7d, click_7d: int64[C], 0 where no row was ever published; maturity_tick_ms: int64[C], -1 there.
    published_at_ms: int64[C], -1 where the catalogue does not know the item; titles: object[C], "" where it has none.
    """

    item_ids: NDArray[np.object_]
    codes: NDArray[np.int32]
    codebook_version: NDArray[np.object_]
    exposure_7d: NDArray[np.int64]
    click_7d: NDArray[np.int64]
    maturity_tick_ms: NDArray[np.int64]
    published_at_ms: NDArray[np.int64]
    titles: NDArray[np.object_]


@dataclass(frozen=True)
class UserTakes:
    """A user's newest takes, oldest first: item_ids object[T], event_times_ms int64[T]; version_ms -1 where unknown."""

    item_ids: NDArray[np.object_]
    event_times_ms: NDArray[np.int64]
    version_ms: int


def item_rows(item_ids: Sequence[str], response: Any) -> ItemRows:
    """Read a GetOnlineFeaturesResponse (its protobuf: going through pandas would double the time of a request)."""
    columns = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    size = len(item_ids)
    codes = np.full((size, NUM_LEVELS), MISSING_CODE, np.int32)
    versions = texts(columns[CODEBOOK_VERSION])
    for row, value in enumerate(columns[CODES].values):
        given = value.int64_list_val.val
        if len(given) == NUM_LEVELS:
            codes[row] = given
        else:
            versions[row] = ""
    return ItemRows(
        item_ids=np.array(item_ids, object), codes=codes, codebook_version=versions,
        exposure_7d=integers(columns[EXPOSURE_7D], 0), click_7d=integers(columns[CLICK_7D], 0),
        maturity_tick_ms=times_ms(columns[EXPOSURE_7D]),
        published_at_ms=integers(columns["published_at_ms"], MISSING_TIME_MS), titles=texts(columns["title"]))


def user_takes(response: Any) -> UserTakes:
    columns = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    items = columns["item_ids"]
    return UserTakes(
        item_ids=np.array(items.values[0].string_list_val.val, object),
        event_times_ms=np.array(columns["event_times_ms"].values[0].int64_list_val.val, np.int64),
        version_ms=int(times_ms(items)[0]))


def integers(column: Any, missing: int) -> NDArray[np.int64]:
    return np.array([v.int64_val if v.HasField("int64_val") else missing for v in column.values], np.int64)


def texts(column: Any) -> NDArray[np.object_]:
    return np.array([v.string_val for v in column.values], object)


def times_ms(column: Any) -> NDArray[np.int64]:
    """Event timestamps; a row that is absent has the timestamp 0."""
    stamps = [t.seconds * 1000 + (t.nanos + 500_000) // 1_000_000 for t in column.event_timestamps]
    return np.array([stamp or MISSING_TIME_MS for stamp in stamps], np.int64)
