"""User and candidates → online rows → the model's tensors, with every default that was taken named.

One read for the user, one for the candidates and the items of the user's history together; after that whole arrays.
What is read is cut to what was known at the moment of the request, as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.clock import from_ms
from features.errors import GatesidError
from features.history import last_distinct, repeat_features
from features.maturity import online_days
from features.online_rows import ItemRows, UserTakes
from features.spec import HISTORY_LENGTH, INPUTS_BY_NAME, MISSING_CODE, NUM_LEVELS, OOV_ROW
from features.stored_values import MISSING_TIME_MS
from features.windows import HOUR_MS, WINDOW_HOURS
from serving.served_model import ServedModel
from serving.signature import Tensors, default_inputs

# After this long without a row every event counted in the last one has left the window: counts above 0 are stale.
STALE_AFTER_MS = (WINDOW_HOURS + 1) * HOUR_MS

Mask = NDArray[np.bool_]


class FeatureReader(Protocol):
    """What `features.retrieval.OnlineFeatures` offers a request. A GatesidError means that the store does not answer."""

    def read_items(self, item_ids: Sequence[str]) -> ItemRows: ...

    def read_user(self, user_id: str) -> UserTakes: ...


@dataclass(frozen=True)
class OnlineRows:
    """What the store knew at `at_ms`: C distinct candidates, T takes of the user before, H <= 50 distinct items of them."""

    user_id: str
    at_ms: int
    takes: UserTakes
    taken: NDArray[np.int64]  # [T] the items taken, numbered: candidate n is n, every other item has a number of its own
    candidates: ItemRows
    history: ItemRows  # newest first
    stale: Mask  # bool[C]: maturity rows too old to be true, already replaced by the default
    store_fault: str  # "" where the store answered


@dataclass(frozen=True)
class Assembled:
    """inputs: as signature.py lists them. item_defaults: name → bool[C], where a stated default stands in."""

    inputs: Tensors
    item_defaults: dict[str, Mask]
    user_defaults: tuple[str, ...]


def read_rows(reader: FeatureReader, user_id: str, candidates: Sequence[str], at_ms: int) -> OnlineRows:
    """Never fails: where the store does not answer, everything is missing and `store_fault` says why.

    Args:
      candidates: each once.
    """
    size = len(candidates)
    try:
        takes = known_before(reader.read_user(user_id), at_ms)
        number = {item: place for place, item in enumerate(candidates)}
        taken = np.array([number.setdefault(item, len(number)) for item in takes.item_ids], np.int64)
        past, names = last_distinct(taken, HISTORY_LENGTH), list(number)
        others = past >= size
        rows, fault = reader.read_items([*candidates, *(names[item] for item in past[others])]), ""
        past = np.where(others, size - 1 + np.cumsum(others), past)
    except GatesidError as missing:
        takes, fault = UserTakes(np.empty(0, object), np.empty(0, np.int64), MISSING_TIME_MS), str(missing)
        taken = past = np.empty(0, np.int64)
        rows = nothing_known(candidates)
    chosen, stale = without_stale(pick(rows, slice(size)), at_ms)
    return OnlineRows(user_id, at_ms, takes, taken, chosen, pick(rows, past), stale, fault)


def known_before(takes: UserTakes, at_ms: int) -> UserTakes:
    before = takes.event_times_ms < at_ms
    return takes if before.all() else replace(
        takes, item_ids=takes.item_ids[before], event_times_ms=takes.event_times_ms[before])


def pick(rows: ItemRows, place: NDArray[np.int64] | slice) -> ItemRows:
    return ItemRows(**{name: values[place] for name, values in vars(rows).items()})


def nothing_known(item_ids: Sequence[str]) -> ItemRows:
    size = len(item_ids)
    return ItemRows(
        item_ids=np.array(item_ids, object), codes=np.full((size, NUM_LEVELS), MISSING_CODE, np.int32),
        codebook_version=np.full(size, "", object), other_codes=np.full((size, NUM_LEVELS), MISSING_CODE, np.int32),
        other_codebook=np.full(size, "", object), exposure_7d=np.zeros(size, np.int64), click_7d=np.zeros(size, np.int64),
        maturity_tick_ms=np.full(size, MISSING_TIME_MS, np.int64), published_at_ms=np.full(size, MISSING_TIME_MS, np.int64),
        titles=np.full(size, "", object), unreadable=np.zeros(size, bool))


def without_stale(rows: ItemRows, at_ms: int) -> tuple[ItemRows, Mask]:
    """Counts that cannot be true any more become the default; the store does not enforce an age itself."""
    counted = (rows.exposure_7d != 0) | (rows.click_7d != 0)
    stale = counted & (rows.maturity_tick_ms < at_ms - STALE_AFTER_MS)
    return replace(rows, exposure_7d=np.where(stale, 0, rows.exposure_7d), click_7d=np.where(stale, 0, rows.click_7d)), stale


def assemble(model: ServedModel, rows: OnlineRows) -> Assembled:
    """The tensors of one request; C candidates, one user."""
    items, history = rows.candidates, rows.history
    size, past = len(items.item_ids), len(history.item_ids)
    inputs = default_inputs(size)
    moment = from_ms(rows.at_ms)
    inputs["user_row"] = model.user_index.rows(np.array([rows.user_id], object))
    inputs["hour_of_day"][0] = moment.hour
    inputs["day_of_week"][0] = moment.weekday()
    known = model.item_index.rows(np.concatenate([items.item_ids, history.item_ids]))
    inputs["item_row"], inputs["history_rows"][0, :past] = known[:size], known[size:]
    inputs["item_codes"], other_codebook = codes_of(model.codebook_version, items)
    inputs["history_codes"][0, :past], _ = codes_of(model.codebook_version, history)
    stats = [age_in_days(items, rows.at_ms), items.exposure_7d, items.click_7d]
    inputs["item_stats"] = np.stack(stats, axis=-1).astype(np.float32)
    inputs["repeat_count"], inputs["repeat_age_days"] = repeat_features(
        rows.taken, rows.takes.event_times_ms, np.arange(size), rows.at_ms)
    defaults = stats_defaults(rows) | {"item_row:unknown": inputs["item_row"] == OOV_ROW}
    if model.codebook_version is not None:
        defaults["item_codes:missing"] = (inputs["item_codes"] == MISSING_CODE).all(axis=1) & ~other_codebook
        defaults["item_codes:other_codebook"] = other_codebook
    user_defaults = [("user_row:unknown", inputs["user_row"][0] == OOV_ROW), ("history_rows:empty", not past)]
    return Assembled(inputs, defaults, tuple(name for name, taken in user_defaults if taken))


def stats_defaults(rows: OnlineRows) -> dict[str, Mask]:
    """Where item_stats holds a default, by reason."""
    return {
        "item_stats:no_maturity": rows.candidates.maturity_tick_ms == MISSING_TIME_MS,
        "item_stats:stale_maturity": rows.stale,
        "item_stats:no_published_at": rows.candidates.published_at_ms == MISSING_TIME_MS,
        "stored_value:unreadable": rows.candidates.unreadable,
    }


def codes_of(codebook_version: str | None, rows: ItemRows) -> tuple[NDArray[np.int32], Mask]:
    """SIDs of the model's codebook, and where the store has others' alone: those count as missing."""
    codes = rows.codes_of(codebook_version)
    others = (rows.codes != MISSING_CODE).any(axis=1) | (rows.other_codes != MISSING_CODE).any(axis=1)
    return codes, (codes == MISSING_CODE).all(axis=1) & others


def age_in_days(rows: ItemRows, at_ms: int) -> NDArray[Any]:
    """Whole days online, -1 before publication; the spec's default where the catalogue does not know the item."""
    days = online_days(np.array(at_ms), rows.published_at_ms)
    return np.where(rows.published_at_ms == MISSING_TIME_MS, INPUTS_BY_NAME["item_stats"].default, days)
