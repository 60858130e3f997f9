"""One bucket of users to training rows: labels, history, repeat features, age; all but maturity. Vectorised in NumPy."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import MS_PER_DAY
from features.events import CLICK, IMPRESSION, ORDER
from features.maturity import online_days
from features.names import CLICKED, DS, EVENT_ID, EVENT_TYPE, ITEM_ID, ONLINE_DAYS, ORDERED, REQUEST_ID, USER_ID
from features.spec import HISTORY_LENGTH, INPUTS_BY_NAME, PADDING_ROW
from features.windows import HOUR_MS
from spark_jobs.event_log import EVENT_MS, INGEST_MS
from spark_jobs.known_takes import known_features
from spark_jobs.labels import NO_REQUEST, attribute

EARLIER_TAKE = "earlier take"  # of the user_history partition: for histories alone, neither shown nor a response
WANTED, ITEM_ROW, USER_ROW, PUBLISHED_MS = "wanted", "item_row", "user_row", "published_ms"
MONDAY = 3  # days from a Monday to the epoch's Thursday

ROW_SCHEMA = (
    f"{EVENT_ID} string, {USER_ID} string, {ITEM_ID} string, {EVENT_MS} long, {REQUEST_ID} string, {DS} string, "
    f"{CLICKED} byte, {ORDERED} byte, {USER_ROW} int, {ITEM_ROW} int, hour_of_day int, day_of_week int, "
    f"history_rows array<int>, {ONLINE_DAYS} long, repeat_count float, repeat_age_days float")


def bucket_rows(table: pa.Table) -> pa.Table:
    """The training rows of a bucket.

    Args:
      table: the bucket's impressions and takes with user_id, item_id, event_id, event_type, event_ms, ingest_ms, request_id
        (null), ds, item_row, user_row, published_ms (null: unknown), wanted (whether the impression is in the sample).
    """
    events = table.take(pc.sort_indices(table, sort_keys=[(EVENT_MS, "ascending"), (EVENT_ID, "ascending")])).combine_chunks()
    kind = events[EVENT_TYPE].combine_chunks()
    shown = np.flatnonzero(pc.equal(kind, IMPRESSION).to_numpy(zero_copy_only=False))
    taken = np.flatnonzero(pc.is_in(kind, pa.array([CLICK, ORDER, EARLIER_TAKE])).to_numpy(zero_copy_only=False))
    wanted = shown[events[WANTED].to_numpy()[shown]]
    user, item = numbers(events, USER_ID), numbers(events, ITEM_ID)
    rows = events.take(pa.array(wanted))
    at_ms = rows[EVENT_MS].to_numpy()
    clicked, ordered = labels(events, kind, user, item, shown, wanted)
    history, count, age = features(events, user, item, taken, wanted)
    lengths = (history != PADDING_ROW).sum(axis=1)
    published = rows[PUBLISHED_MS].combine_chunks()
    known = pc.is_valid(published).to_numpy(zero_copy_only=False)
    days = online_days(at_ms, pc.fill_null(published, 0).to_numpy())
    days = np.where(known, days, int(INPUTS_BY_NAME["item_stats"].default))  # as serving fills it
    return pa.table({
        EVENT_ID: rows[EVENT_ID], USER_ID: rows[USER_ID], ITEM_ID: rows[ITEM_ID], EVENT_MS: at_ms,
        REQUEST_ID: rows[REQUEST_ID], DS: rows[DS],
        CLICKED: clicked, ORDERED: ordered, USER_ROW: rows[USER_ROW], ITEM_ROW: rows[ITEM_ROW],
        "hour_of_day": (at_ms // HOUR_MS % 24).astype("int32"),
        "day_of_week": ((at_ms // MS_PER_DAY + MONDAY) % 7).astype("int32"),
        "history_rows": pa.ListArray.from_arrays(
            pa.array(np.r_[0, np.cumsum(lengths)].astype("int32")),
            pa.array(history[np.arange(HISTORY_LENGTH) < lengths[:, None]])),
        ONLINE_DAYS: days, "repeat_count": count, "repeat_age_days": age})


def numbers(events: pa.Table, column: str) -> np.ndarray:
    """int64[E] one number for each distinct value; null is -1."""
    codes = events[column].combine_chunks().dictionary_encode().indices
    return pc.fill_null(codes, NO_REQUEST).to_numpy(zero_copy_only=False).astype("int64")


def labels(
    events: pa.Table, kind: pa.Array, user: np.ndarray, item: np.ndarray, shown: np.ndarray, wanted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(clicked, ordered) int8 of the wanted impressions. An order also counts as the click that it took."""
    pair, at_ms = user * (item.max(initial=0) + 1) + item, events[EVENT_MS].to_numpy()
    request = numbers(events, REQUEST_ID)
    found = {}
    for response in (CLICK, ORDER):
        of = np.flatnonzero(pc.equal(kind, response).to_numpy(zero_copy_only=False))
        place = attribute(pair[shown], at_ms[shown], request[shown], pair[of], at_ms[of], request[of])
        label = np.zeros(len(user), np.int8)
        label[shown[place[place >= 0]]] = 1
        found[response] = label[wanted]
    return np.maximum(found[CLICK], found[ORDER]), found[ORDER]


def features(
    events: pa.Table, user: np.ndarray, item: np.ndarray, taken: np.ndarray, wanted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(history rows, repeat count, repeat age) of the wanted impressions, user by user."""
    at_ms, ingest_ms = events[EVENT_MS].to_numpy(), events[INGEST_MS].to_numpy()
    row_of_item = np.zeros(item.max(initial=-1) + 1, np.int32)
    row_of_item[item] = events[ITEM_ROW].to_numpy()
    history = np.full((len(wanted), HISTORY_LENGTH), PADDING_ROW, np.int32)
    count, age = np.zeros(len(wanted), np.float32), np.full(len(wanted), -1, np.float32)
    by_user = np.argsort(user[wanted], kind="stable")
    takes_by_user = taken[np.argsort(user[taken], kind="stable")]  # within a user still by (event time, event id)
    users, starts = np.unique(user[wanted][by_user], return_index=True)
    low = np.searchsorted(user[takes_by_user], users, side="left")
    high = np.searchsorted(user[takes_by_user], users, side="right")
    for rows, first, last in zip(np.split(by_user, starts)[1:], low, high, strict=True):  # none where nobody was shown anything
        of = takes_by_user[first:last]
        history[rows], count[rows], age[rows] = known_features(
            item[of], at_ms[of], ingest_ms[of], item[wanted[rows]], at_ms[wanted[rows]], row_of_item)
    return history, count, age
