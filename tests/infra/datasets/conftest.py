"""What the data set tests share: a state folder, a clock that stands, and a small file set in Complete Journey's form."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.artefacts import sha256
from features.clock import FixedClock
from features.layout import Layout
from infra.datasets import complete_journey

SUNDAY = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)  # yesterday is Saturday 2026-11-21


@pytest.fixture
def clock():
    return FixedClock(SUNDAY)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "home")


def make_tables(seed=5, lines=4_000):
    """Order lines of 40 households over the last 60 days of 2017: baskets of a few products, popular ones more often."""
    rng = np.random.default_rng(seed)
    products = pd.DataFrame({
        "product_id": np.arange(100, 150), "manufacturer_id": rng.integers(1, 9, 50), "department": "GROCERY",
        "brand": np.where(np.arange(50) % 2, "National", "Private"),
        "product_category": [f"CATEGORY {n % 7}" for n in range(50)],
        "product_type": [f"TYPE {n}" for n in range(50)], "package_size": [f"{n} OZ" if n % 3 else None for n in range(50)]})
    products.loc[products.product_id == 149, ["product_category", "product_type", "package_size"]] = None
    basket = np.sort(rng.integers(0, lines // 5, lines))
    seconds = pd.Timestamp("2017-11-01").value // 10**9 + np.sort(rng.integers(0, 60 * 86_400, lines // 5))
    weight = 1 / np.arange(1, 51)
    orders = pd.DataFrame({
        "household_id": basket * 7 % 40, "store_id": 1, "basket_id": basket + 1_000,
        "product_id": rng.choice(products.product_id, lines, p=weight / weight.sum()), "quantity": 1,
        "transaction_timestamp": pd.to_datetime(seconds[basket], unit="s")})
    return orders.drop_duplicates(["household_id", "basket_id", "product_id"]).reset_index(drop=True), products


def write_tables(folder, orders, products, monkeypatch):
    """The two files, and their hashes in the place of the package's."""
    folder.mkdir(exist_ok=True)
    orders.astype({"transaction_timestamp": "datetime64[ns]"}).to_parquet(folder / "transactions.parquet", index=False)
    products.to_parquet(folder / "products.parquet", index=False)
    monkeypatch.setattr(complete_journey, "SHA256", {
        name: sha256(folder / name) for name in ("transactions.parquet", "products.parquet")})
    return folder


@pytest.fixture
def journey(tmp_path, monkeypatch):
    return write_tables(tmp_path / "journey", *make_tables(), monkeypatch)


@pytest.fixture
def journey_of(tmp_path, monkeypatch):
    """journey_of(change) -> a folder of the files after change(orders, products) -> orders."""
    def make(change):
        orders, products = make_tables()
        return write_tables(tmp_path / "changed", change(orders, products), products, monkeypatch)
    return make


@pytest.fixture
def prepare_journey(journey, layout, clock):
    """prepare_journey(**changes) -> (folder, made): the small Complete Journey, 14 days of history unless said otherwise."""
    def prepare(**changes):
        options = {"history_days": 14, "negatives": 4, "seed": 3, "path": journey} | changes
        return complete_journey.prepare(layout, options.pop("clock", clock), **options)
    return prepare


@pytest.fixture
def read_events():
    """read_events(folder) -> every prepared event, in the order of the files."""
    return lambda folder: pd.concat([pd.read_parquet(file) for file in sorted((folder / "events").glob("*.parquet"))],
                                    ignore_index=True)
