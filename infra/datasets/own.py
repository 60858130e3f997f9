"""Your own events and items: checked row by row, mapped to the contract's columns, published like any other data set.

A file that does not have the mapped columns stops with every fault of both files at once. A bad row is rejected with
its reasons, counted, shown in samples and written to `data/<name>.rejects.parquet`; the rest goes on. An item without
text is a warning: it is kept, gets no SID from text and the cold default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.clock import MS_PER_DAY, Clock
from features.errors import DataError, SchemaError
from features.events import CLICK, IMPRESSION, ORDER
from features.layout import Layout
from infra.datasets.faults import Faults, write_rejects
from infra.datasets.mapping import Mapping, read_mapping
from infra.datasets.negatives import impressions_of
from infra.datasets.own_events import check_events
from infra.datasets.own_files import is_text_or_whole, read_own, source_hashes, time_fault
from infra.datasets.own_items import check_items
from infra.datasets.prepared import EVENTS, ITEMS, EventFiles, publish, write_items
from infra.datasets.timeline import yesterday

LEAD_MS = 1_000
NO_IMPRESSIONS = (
    "the events hold {clicks:,} clicks and {orders:,} orders but no impressions. A ranker learns from what was shown and not "
    "taken: log an `impression` row for every item shown (user, item, time, the request_id that its click has too), or, to "
    "begin with, prepare with --negatives 4: each response is then shown beside 4 items that other users took on that day")


@dataclass
class Checked:
    """Both files after their checks: good rows in the contract's columns, and what was found."""

    events: pa.Table  # EVENTS, in ingest order
    items: pa.Table  # ITEMS
    labels: list[str]
    found: list[Faults]
    warnings: dict[str, int]
    negatives: int
    not_drawn: int


def prepare(layout: Layout, clock: Clock, *, name: str, events: Path, items: Path, columns: Path | None = None,
            negatives: int = 0, seed: int = 0) -> tuple[Path, bool]:
    """Make data/<name>. Raises SchemaError: every fault of both files. DataError: nothing usable is left."""
    mapping = read_mapping(columns)
    made_from = {"events": source_hashes(events), "items": source_hashes(items), "mapping": repr(mapping),
                 "negatives": negatives, "seed": seed, "last_day": yesterday(clock)}
    rejects = layout.dataset(name).with_name(f"{name}.rejects.parquet")
    return publish(layout, name, made_from, lambda draft: fill(draft, clock, events, items, mapping, negatives, seed, rejects))


def validate(clock: Clock, *, events: Path, items: Path, columns: Path | None = None, negatives: int = 0) -> int:
    """The same checks, told and not written; 0 when every row is good.

    Raises what `prepare` raises, and DataError: rows would be rejected.
    """
    checked = check(clock, events, items, read_mapping(columns), negatives, seed=0)
    tell(checked)
    bad = sum(sum(faults.counts().values()) for faults in checked.found)
    if bad:
        raise DataError(f"{bad:,} faults: `prepare` would reject these rows and go on with the rest")
    print("valid")
    return 0


def fill(draft: Path, clock: Clock, events: Path, items: Path, mapping: Mapping, negatives: int, seed: int,
         rejects: Path) -> dict[str, Any]:
    checked = check(clock, events, items, mapping, negatives, seed, rejects)
    tell(checked)
    files = EventFiles(draft)
    files.write(checked.events)
    files.close()
    if checked.found and rejects.is_file():
        print(f"rejected rows with their reasons: {rejects}")
    return {
        "labels": checked.labels, **files.summary(), "items": write_items(draft, checked.items), "negatives": checked.negatives,
        "seed": seed, "rejected": by_file(checked.found, Faults.counts),
        "warnings": by_file(checked.found, Faults.warnings) | checked.warnings | {"negative not drawn": checked.not_drawn},
        "shift_weeks": 0,
        "sources": source_hashes(events) | source_hashes(items),
        "provenance": {"source": f"your files {events.name} and {items.name}", "licence": "yours",
                       "about": "logged impressions" if not checked.negatives else "impressions are constructed, not logged"},
    }


def by_file(found: list[Faults], counts: Callable[[Faults], dict[str, int]]) -> dict[str, int]:
    return {f"{faults.file}: {reason}": count for faults in found for reason, count in counts(faults).items()}


def tell(checked: Checked) -> None:
    for faults in checked.found:
        print("\n".join(faults.lines()))
    for reason, count in checked.warnings.items():
        print(f"warning: {reason}: {count:,}")


def check(clock: Clock, events: Path, items: Path, mapping: Mapping, negatives: int, seed: int,
          rejects: Path | None = None) -> Checked:
    """Read both files and find every fault; `rejects`: where the rejected rows go."""
    event_file, item_file = read_own(events, mapping.events.delimiter), read_own(items, mapping.items.delimiter)
    check_schema(event_file.table, item_file.table, mapping)
    event_faults = Faults(events.name, event_file.table, event_file.row, event_file.broken)
    item_faults = Faults(items.name, item_file.table, item_file.row, item_file.broken)
    good_events, warnings = check_events(event_faults, mapping.events, clock)
    good_items, item_warnings = check_items(item_faults, mapping.items, clock)
    found = [event_faults, item_faults]
    if rejects is not None:
        write_rejects(rejects, found)
    try:
        labelled, labels, one_response = settle_labels(good_events)
        shown, not_drawn = settle_impressions(labelled, negatives, seed, bool(one_response))
    except DataError as fault:
        raise DataError("\n".join([*(line for faults in found for line in faults.lines()), str(fault)])) from None
    whole, more = complete_items(good_items, shown)
    return Checked(shown, whole, labels, found, {**warnings, **item_warnings, **more, **one_response}, negatives, not_drawn)


def check_schema(events: pa.Table, items: pa.Table, mapping: Mapping) -> None:
    """Raises SchemaError with every missing or unusable column of both files."""
    faults = []
    times = ("event_time", "ingest_time", "published_at")
    for title, table, columns in (("events", events, mapping.events), ("items", items, mapping.items)):
        faults += [f"{title}: column {yours!r} ({ours}) is missing" for ours, yours in columns.required().items()
                   if yours not in table.column_names]
        for ours in ("event_id", "event_type", "user_id", "item_id", "request_id", *times):
            yours = getattr(columns, ours, None)
            if yours not in table.column_names:
                continue
            kind = table.schema.field(yours).type
            if ours in times:
                fault = time_fault(kind, columns.time_unit)
            else:
                fault = None if is_text_or_whole(kind) else f"is {kind}, expected text or whole numbers"
            faults += [f"{title}: column {yours!r} ({ours}) {fault}"] if fault else []
    if faults:
        raise SchemaError("; ".join(faults) + f". events has {', '.join(events.column_names)}; items has "
                          f"{', '.join(items.column_names)}: name your columns in a mapping file (--columns M.toml)")


def settle_labels(events: pa.Table) -> tuple[pa.Table, list[str], dict[str, int]]:
    """Labels that the log can give. One response alone is recorded as a click (features/README: labels)."""
    if not events.num_rows:
        raise DataError("no event is left: nothing to prepare; mend the rows named above, or the column mapping")
    kinds = events["event_type"].to_numpy()
    clicks, orders = int((kinds == CLICK).sum()), int((kinds == ORDER).sum())
    if not clicks and not orders:
        raise DataError(f"the events hold {len(kinds):,} impressions and no click or order: nothing to learn from")
    if clicks:
        return events, ["clicked", "ordered"] if orders else ["clicked"], {}
    as_click = pa.array(np.where(kinds == ORDER, CLICK, kinds), pa.string())
    at = events.schema.get_field_index("event_type")
    events = events.set_column(at, EVENTS.field("event_type"), as_click)
    return events, ["clicked"], {"order recorded as the one response, a click": orders}


def settle_impressions(events: pa.Table, negatives: int, seed: int, orders_as_clicks: bool) -> tuple[pa.Table, int]:
    """The events with impressions among them, and how many negatives could not be drawn.

    Raises DataError: there are no impressions and none are to be made, or there are and some are to be made.
    """
    kinds = events["event_type"].to_numpy()
    if (kinds == IMPRESSION).any():
        if negatives:
            raise DataError("--negatives is for a log without impressions, and this one has impressions: leave it out")
        return events, 0
    if not negatives:
        clicks, orders = int((kinds == CLICK).sum()), int((kinds == ORDER).sum())
        raise DataError(NO_IMPRESSIONS.format(clicks=0 if orders_as_clicks else clicks,
                                              orders=clicks if orders_as_clicks else orders))
    return with_impressions(events, negatives, seed)


def with_impressions(events: pa.Table, negatives: int, seed: int) -> tuple[pa.Table, int]:
    """Show each click beside others' items of its UTC day (negatives.py); a click without a request is its own request."""
    request = events["request_id"].to_pandas().fillna(events["event_id"].to_pandas())
    at = events.schema.get_field_index("request_id")
    events = events.set_column(at, EVENTS.field("request_id"), pa.array(request, pa.string()))
    clicks = events.filter(pa.array(events["event_type"].to_numpy() == CLICK))
    first = ~clicks.select(["user_id", "item_id", "request_id"]).to_pandas().duplicated()
    clicks = clicks.filter(pa.array(first))
    day = clicks["event_time_ms"].to_numpy() // MS_PER_DAY
    made = [impressions_of(clicks.filter(pa.array(day == one)), negatives, LEAD_MS, (seed, int(one))) for one in np.unique(day)]
    whole = pa.concat_tables([*(table for table, _ in made), events])
    order = np.argsort(whole["ingest_time_ms"].to_numpy(), kind="stable")
    return whole.take(order), sum(missing for _, missing in made)


def complete_items(items: pa.Table, events: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """Give a date to items without one, and a row to items that only events know: 00:00 UTC of the day first met."""
    seen = pd.Series(events["event_time_ms"].to_numpy()).groupby(events["item_id"].to_numpy()).min()
    first_met = seen // MS_PER_DAY * MS_PER_DAY
    frame = items.select(["item_id", "published_at_ms"]).to_pandas()
    undated = frame.published_at_ms < 0
    fallback = int(first_met.min())
    published = np.where(undated, frame.item_id.map(first_met).fillna(fallback), frame.published_at_ms).astype(np.int64)
    early = frame.item_id.map(seen).fillna(np.inf).to_numpy() < published
    items = items.set_column(ITEMS.get_field_index("published_at_ms"), ITEMS.field("published_at_ms"), pa.array(published))
    absent = first_met[~first_met.index.isin(frame.item_id)]
    added = pa.Table.from_pylist([{"item_id": item, "published_at_ms": int(ms)} for item, ms in absent.items()], schema=ITEMS)
    warnings = {"item without a date: online since its first event": int(undated.sum()),
                "item with an event before its published_at": int(early.sum()),
                "item only in the events: kept without content": len(absent)}
    return pa.concat_tables([items, added]), {reason: count for reason, count in warnings.items() if count}

