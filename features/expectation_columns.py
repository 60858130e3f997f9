"""The columns that expectation suites judge beside an artefact's own: one rule each, computed for every row at once.

Each `*_view` takes the pandas frame of an artefact (string columns may be categorical) and returns it with these
columns added and lists, which no expectation takes, dropped.
"""

import json
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.events import IMPRESSION
from features.spec import MISSING_CODE
from features.windows import AVAILABILITY_DELAY_MS

if TYPE_CHECKING:
    import pandas as pd


def events_view(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame.assign(
        **{f"{column}_length": text_length(frame[column]) for column in ("event_id", "user_id", "item_id")},
        seconds_ahead=(frame.event_time - frame.ingest_time).dt.total_seconds(),
        ds_is_day_of_ingest=same_day(frame.ingest_time, frame.ds),
        is_impression=(frame.event_type == IMPRESSION).astype("float64"),
    )


def items_view(frame: "pd.DataFrame") -> "pd.DataFrame":
    """`attributes_fit`: null or the text of an object of strings; `vector_fits`: null or finite and of the commonest width."""
    attributes = frame.attributes.to_numpy(object)
    width, (smallest, largest) = list_lengths(frame.vector), list_bounds(frame.vector)
    widths, counts = np.unique(width[width > 0], return_counts=True)
    common = widths[counts.argmax()] if len(widths) else 0
    return frame.assign(
        item_id_length=text_length(frame.item_id), title_length=text_length(frame.title),
        attributes_fit=[fits_attributes(text) for text in attributes],
        vector_fits=(width <= 0) | ((width == common) & np.isfinite(smallest) & np.isfinite(largest)),
        has_content=((text_length(frame.title).fillna(0) > 0) | frame.attributes.notna() | (width > 0)).astype("float64"),
    ).drop(columns=["vector"])


def semantic_ids_view(frame: "pd.DataFrame") -> "pd.DataFrame":
    lengths = list_lengths(frame.codes)
    smallest, largest = list_bounds(frame.codes)
    return frame.assign(
        codes_length=lengths, smallest_code=smallest, largest_code=largest,
        all_codes_or_none=(smallest >= 0) | ((smallest == MISSING_CODE) & (largest == MISSING_CODE)),
        has_sid=(smallest >= 0).astype("float64"),
    ).drop(columns=["codes"])


def training_frame_view(frame: "pd.DataFrame", known_impressions: "pd.Series | None" = None) -> "pd.DataFrame":
    """`known_impressions`: ids of the impressions of these days; None leaves that rule true.

    What was served is of the request's moment, some time before the impression's, and needed no availability delay.
    """
    served = frame.served.eq(True)
    smallest, _ = list_bounds(frame.history_rows)
    return frame.assign(
        is_known_impression=True if known_impressions is None else frame.event_id.isin(known_impressions),
        history_length=np.maximum(list_lengths(frame.history_rows), 0), smallest_history_row=smallest,
        seconds_since_tick=(frame.event_time - frame.maturity_tick).dt.total_seconds() + served * AVAILABILITY_DELAY_MS / 1000,
        repeat_fits=(frame.repeat_count > 0) == (frame.repeat_age_days >= 0),
        hour_fits=(frame.event_time.dt.hour == frame.hour_of_day) | served,
    ).drop(columns=["history_rows"])


def text_length(column: "pd.Series") -> "pd.Series":
    """Characters of each text, NaN for null."""
    import pandas as pd

    codes, texts = pd.factorize(column)
    lengths = np.array([len(text) for text in texts] + [np.nan])
    return pd.Series(lengths[codes], index=column.index)


def same_day(moment: "pd.Series", ds: "pd.Series") -> "pd.Series":
    """Whether `ds` is the UTC day of the moment."""
    import pandas as pd

    codes, texts = pd.factorize(ds)
    days = pd.Series(pd.DatetimeIndex([*pd.to_datetime(texts, utc=True, errors="coerce"), pd.NaT])[codes], index=ds.index)
    return moment.dt.floor("D") == days


def fits_attributes(text: str | None) -> bool:
    """Null, or the JSON text of an object of strings."""
    if text is None:
        return True
    try:
        read = json.loads(text)
    except ValueError:
        return False
    return isinstance(read, dict) and all(isinstance(value, str) for value in read.values())


def list_lengths(column: "pd.Series") -> NDArray[np.int64]:
    """Length of each list; -1 for null."""
    return np.array([-1 if row is None else len(row) for row in column], np.int64)


def list_bounds(column: "pd.Series") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest element of each list; NaN for null and empty lists."""
    lengths = np.maximum(list_lengths(column), 0)
    smallest, largest = np.full(len(lengths), np.nan), np.full(len(lengths), np.nan)
    filled = np.flatnonzero(lengths)
    if len(filled):
        elements = np.concatenate([np.asarray(row, np.float64) for row in column if row is not None and len(row)])
        starts = np.r_[0, np.cumsum(lengths[filled])[:-1]]
        smallest[filled] = np.minimum.reduceat(elements, starts)
        largest[filled] = np.maximum.reduceat(elements, starts)
    return smallest, largest
