"""Your event rows: what is wrong with each, and the good ones in the contract's columns."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.clock import Clock, to_ms
from features.events import CLICK, EVENT_TYPES, IMPRESSION, MAX_ID_LENGTH, ORDER
from features.windows import MAX_FUTURE_MS, WINDOW_MS
from infra.datasets.faults import Faults
from infra.datasets.mapping import EventColumns
from infra.datasets.own_files import NO_TIME, Times, as_text, as_times
from infra.datasets.prepared import EVENTS

EARLIEST_MS = 946_684_800_000  # 2000-01-01: an earlier time means a wrong unit


def check_events(faults: Faults, columns: EventColumns, clock: Clock) -> tuple[pa.Table, dict[str, int]]:
    """The good rows in ingest order, and warnings that concern no single row. Rejections go into `faults`."""
    table, rows = faults.table, len(faults.row)
    warnings = {}
    ids = text_column(table, columns.event_id)
    if ids is None:
        ids = pa.chunked_array([pa.array([f"row-{number}" for number in faults.row], pa.string())])
        warnings["event_id made from the row number: repeats cannot be told"] = rows
    kinds = event_types(table, columns)
    user, item, request = (text_column(table, name) for name in (columns.user_id, columns.item_id, columns.request_id))
    for ours, text in (("event_id", ids), ("event_type", kinds), ("user_id", user), ("item_id", item)):
        faults.reject(f"null {ours}", text.is_null().to_numpy())
    for ours, text in (("event_id", ids), ("user_id", user), ("item_id", item)):
        faults.reject(f"{ours} longer than {MAX_ID_LENGTH} characters", too_long(text))
    known = pc.is_in(kinds, value_set=pa.array(EVENT_TYPES)).to_numpy()
    faults.reject(f"unknown event_type (expected {', '.join(EVENT_TYPES)}, or a word of [events.types])",
                  ~known & kinds.is_valid().to_numpy())
    now_ms = to_ms(clock.now())
    happened = as_times(table[columns.event_time], columns.time_unit)
    reject_times(faults, "event_time", happened, now_ms)
    ingested = happened
    if columns.ingest_time in table.column_names:
        ingested = as_times(table[columns.ingest_time], columns.time_unit)
        reject_times(faults, "ingest_time", ingested, now_ms)
        faults.reject("event_time more than 5 minutes after ingest_time", happened.ms > ingested.ms + MAX_FUTURE_MS)
        faults.warn("older than 7 days when ingested: counted nowhere",
                    (ingested.ms - happened.ms > WINDOW_MS) & (ingested.ms != NO_TIME))
    # Ids repeat only among rows that are good otherwise: a broken first copy must not reject its good second.
    faults.reject("repeated event_id (the first ingested is kept)", repeated(ids, ingested.ms, ~faults.bad))
    if happened.naive + (ingested.naive if ingested is not happened else 0):
        warnings["time without an offset taken as UTC"] = happened.naive
    good = np.flatnonzero(~faults.bad)
    good = good[np.argsort(ingested.ms[good], kind="stable")]
    context = pa.nulls(len(good), pa.string())
    if columns.context:
        context = as_context(table.select(list(columns.context)).take(good))
    whole = pa.Table.from_arrays([
        ids.take(good), kinds.take(good), user.take(good), item.take(good), pa.array(happened.ms[good]),
        pa.array(ingested.ms[good]), pa.nulls(len(good), pa.string()) if request is None else request.take(good), context,
    ], schema=EVENTS)
    return whole, warnings | unmatched(whole)


def event_types(table: pa.Table, columns: EventColumns) -> pa.ChunkedArray:
    if columns.every_row_is:
        return pa.chunked_array([pa.array([columns.every_row_is] * table.num_rows, pa.string())])
    words = as_text(table[columns.event_type])
    theirs = pa.array(list(columns.types), pa.string())
    place = pc.index_in(words, value_set=theirs)
    mapped = pa.array(list(columns.types.values()), pa.string()).take(place.combine_chunks())
    return pc.coalesce(pa.chunked_array([mapped]), pa.chunked_array([words.combine_chunks()]))


def text_column(table: pa.Table, name: str) -> pa.ChunkedArray | None:
    return as_text(table[name]) if name in table.column_names else None


def too_long(text: pa.ChunkedArray) -> NDArray[np.bool_]:
    return pc.fill_null(pc.greater(pc.utf8_length(text), MAX_ID_LENGTH), False).to_numpy()


def reject_times(faults: Faults, name: str, times: Times, now_ms: int) -> None:
    missing = (times.ms == NO_TIME) & ~times.unreadable
    faults.reject(f"null {name}", missing)
    faults.reject(f"unreadable {name}", times.unreadable)
    known = times.ms != NO_TIME
    faults.reject(f"{name} more than 5 minutes in the future (is time_unit right?)",
                  known & (times.ms > now_ms + MAX_FUTURE_MS))
    faults.reject(f"{name} before 2000-01-01 (is time_unit right?)", known & (times.ms < EARLIEST_MS))


def repeated(ids: pa.ChunkedArray, ingest_ms: NDArray[np.int64], good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a good row's id was ingested before, by another good row."""
    numbers = pc.dictionary_encode(ids, null_encoding="encode").combine_chunks().indices.to_numpy(zero_copy_only=False)
    at = np.flatnonzero(good)
    order = at[np.lexsort((at, ingest_ms[at], numbers[at]))]
    again = np.zeros(len(good), bool)
    again[order[1:]] = numbers[order[1:]] == numbers[order[:-1]]
    return again


def unmatched(events: pa.Table) -> dict[str, int]:
    """Responses that no row of the same user and item explains: they make no label."""
    kinds = events["event_type"].to_numpy()
    pair = pc.dictionary_encode(pc.binary_join_element_wise(events["user_id"], events["item_id"], "\x1f")).combine_chunks()
    pair = pair.indices.to_numpy(zero_copy_only=False)
    if not (kinds == IMPRESSION).any():
        return {}
    shown, clicked = np.unique(pair[kinds == IMPRESSION]), np.unique(pair[kinds == CLICK])
    found = {"click or order of an item never shown to that user": int((~np.isin(pair, shown) & (kinds != IMPRESSION)).sum())}
    if len(clicked):
        found["order without a click of that user and item"] = int((~np.isin(pair, clicked) & (kinds == ORDER)).sum())
    return {reason: count for reason, count in found.items() if count}


def as_context(fields: pa.Table) -> pa.Array:
    """JSON objects of the fields that are there."""
    rows = ({name: value for name, value in row.items() if value is not None} for row in fields.to_pylist())
    return pa.array([json.dumps(row, default=str, sort_keys=True, ensure_ascii=False) if row else None for row in rows],
                    pa.string())
