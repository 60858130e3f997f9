"""Impressions for a log that has none: what the same day's other users took, shown to this user without response.

A line is one response (an order line, a click). Each becomes an impression `lead_ms` before it, and `per_line` more
impressions at that same moment whose items are those of lines drawn from OTHER users' lines of the same day. An item
is therefore drawn as often as it was taken that day: popularity alone does not tell the two kinds apart. Items of the
line's own request are not drawn (they had a response). Items may repeat within a request, as they do among the lines:
forbidding it would make popular items rarer among the negatives than among the positives.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.events import IMPRESSION
from infra.datasets.prepared import EVENTS

Int64 = NDArray[np.int64]
ROUNDS = 50


def draw_negatives(user: Int64, item: Int64, request: Int64, per_line: int, rng: np.random.Generator) -> Int64:
    """Lines to take the negatives' items from.

    Args:
      user, item, request: int64[n] dense numbers of one day's lines.
      per_line: how many to draw for each line.
    Returns:
      int64[n, per_line] positions of other users' lines; -1 where the day has none that fits.
    """
    lines = len(user)
    if not lines or not per_line:
        return np.empty((lines, per_line), np.int64)
    width = int(item.max()) + 1
    taken = np.sort(request * width + item)

    def unfit(rows: Int64, drawn: Int64) -> NDArray[np.bool_]:
        asked = request[rows] * width + item[drawn]
        place = np.minimum(np.searchsorted(taken, asked), lines - 1)
        return (user[drawn] == user[rows]) | (taken[place] == asked)

    drawn = rng.integers(0, lines, (lines, per_line))
    rows, columns = (grid.ravel() for grid in np.indices(drawn.shape))
    for _ in range(ROUNDS):
        bad = unfit(rows, drawn[rows, columns])
        rows, columns = rows[bad], columns[bad]
        if not len(rows):
            return drawn
        drawn[rows, columns] = rng.integers(0, lines, len(rows))
    bad = unfit(rows, drawn[rows, columns])
    drawn[rows[bad], columns[bad]] = -1
    return drawn


def impressions_of(responses: pa.Table, per_line: int, lead_ms: int, seed: Sequence[int]) -> tuple[pa.Table, int]:
    """The impressions of one day's responses.

    Args:
      responses: rows of EVENTS with a request_id, each (user, request, item) once.
      seed: what the draw is a function of, beside the responses and their order.
    Returns:
      (rows of EVENTS, how many negatives could not be drawn). Ids are the response's id + "-i0" for its own impression
      and "-i1" … for the others.
    """
    def dense(name: str) -> Int64:
        return pc.dictionary_encode(responses[name]).combine_chunks().indices.to_numpy(zero_copy_only=False).astype(np.int64)

    lines = responses.num_rows
    drawn = draw_negatives(dense("user_id"), dense("item_id"), dense("request_id"), per_line, np.random.default_rng(list(seed)))
    shown = np.concatenate([np.arange(lines)[:, None], drawn], axis=1)
    line, column = np.nonzero(shown >= 0)
    ids = pc.binary_join_element_wise(responses["event_id"].take(line),
                                      pa.array([f"i{n}" for n in range(per_line + 1)]).take(column), "-")
    time_ms = pa.array(responses["event_time_ms"].to_numpy()[line] - lead_ms)
    known_ms = pa.array(responses["ingest_time_ms"].to_numpy()[line] - lead_ms)
    table = pa.Table.from_arrays([
        ids, pa.array([IMPRESSION]).take(np.zeros(len(line), np.int64)), responses["user_id"].take(line),
        responses["item_id"].take(shown[line, column]), time_ms, known_ms, responses["request_id"].take(line),
        pa.nulls(len(line), pa.string()),
    ], schema=EVENTS)
    return table, int((drawn < 0).sum())
