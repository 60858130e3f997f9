"""A shop of ten days whose served rows are worked out here by walking the log, one value at a time.

Four partitions, late and repeated events, two codebooks. `shop.served` are rows of `served_features` as a store without a
fault would have given them; a test alters some and asks the audit.
"""

import copy
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.audit.__main__ import audit
from features.clock import MS_PER_DAY, from_ms
from features.layout import Layout
from features.served_features import served_schema
from features.windows import HOUR_MS, published_rows

T0 = 1_767_225_600_000  # 2026-01-01
TICK_MS, DELAY_MS = 10_000, 2_000
FIRST, AS_OF = date(2026, 1, 9), date(2026, 1, 11)
ITEMS, USERS, PARTITIONS = 25, 8, 4
CODEBOOKS = ("cb-1", "cb-2")
TIMESTAMP = pa.timestamp("us", tz="UTC")


def make_events(count=6_000, seed=5):
    """In ingest order; a tenth is late by up to two days, one in twenty comes again."""
    random = np.random.default_rng(seed)
    made = []
    for n, ingest in enumerate((T0 + np.sort(random.integers(0, 10 * MS_PER_DAY, count))).tolist()):
        if made and random.random() < 0.05:
            again = made[int(random.integers(0, len(made)))]
            if ingest - again["ingest_ms"] < 6 * MS_PER_DAY:
                made.append(again | {"ingest_ms": ingest})
                continue
        item, late = int(random.integers(0, ITEMS)), random.random() < 0.1
        made.append({
            "event_id": f"e{n}", "event_type": str(random.choice(["impression", "click", "order"], p=[0.6, 0.3, 0.1])),
            "user_id": f"u{random.integers(0, USERS)}", "item_id": f"i{item}", "partition": item % PARTITIONS,
            "event_ms": ingest - late * int(random.integers(0, 2 * MS_PER_DAY)), "ingest_ms": ingest})
    return [event | {"offset": n} for n, event in enumerate(made)]


def first_sightings(events):
    return list({event["event_id"]: event for event in reversed(events)}.values())[::-1]


def counts_at(events, item, tick, kind, hours=168):
    """The definition, event by event (features/windows.py)."""
    start = tick - tick % HOUR_MS - hours * HOUR_MS
    return sum(event["item_id"] == item and event["event_type"] == kind and event["ingest_ms"] < tick
               and start <= event["event_ms"] < tick for event in events)


def rebuilt_rows(events):
    """{item: [(tick, exposure, click), …]} by features/windows.py, as Spark's rebuild has them."""
    counted = [event for event in events if event["event_type"] != "order"]
    rows = {f"i{n}": [] for n in range(ITEMS)}
    columns = published_rows(
        np.array([int(event["item_id"][1:]) for event in counted]),
        np.array([event["event_type"] == "click" for event in counted]),
        np.array([event["event_ms"] for event in counted]), np.array([event["ingest_ms"] for event in counted]))
    for item, *row in zip(*(column.tolist() for column in columns), strict=True):
        rows[f"i{item}"].append(tuple(row))
    return rows


@dataclass
class Shop:
    home: Path
    events: list
    first: list
    rebuilt: dict
    sids: dict  # (item, codebook) → codes
    published_ms: dict
    served: list = field(default_factory=list)

    def readable(self, item, at_ms):
        """The item's newest row readable at a moment, and the one before it."""
        rows = [row for row in self.rebuilt[item] if row[0] + DELAY_MS <= at_ms]
        return (rows[-1] if rows else (-1, 0, 0)), (rows[-2] if len(rows) > 1 else (-1, 0, 0))

    def serve(self, number, user, items, at_ms, codebook):
        takes = sorted((event["event_ms"], event["event_id"], event["item_id"]) for event in self.first
                       if event["user_id"] == user and event["event_type"] != "impression"
                       and event["ingest_ms"] + DELAY_MS <= at_ms and event["event_ms"] < at_ms)[-500:]
        history = list(dict.fromkeys(item for *_, item in reversed(takes)))[:50]
        rows = [self.readable(item, at_ms)[0] for item in items]
        taken = [[at for at, _, one in takes if one == item] for item in items]
        codes = {item: self.sids.get((item, codebook), [-1] * 4) for item in {*items, *history}}
        self.served.append({
            "request_id": f"r{number}", "user_id": user, "served_at": from_ms(at_ms), "at": from_ms(at_ms), "ranker": "tiny",
            "model_version": 1, "codebook_version": codebook, "contract_hash": "c", "degraded": "",
            "history_version_ms": at_ms if takes else -1, "taken_item_ids": [item for *_, item in takes],
            "taken_at_ms": [at for at, *_ in takes], "history_item_ids": history,
            "history_codes": [codes[item] for item in history],
            "item_ids": items, "item_codes": [codes[item] for item in items],
            "online_days": [float((at_ms - self.published_ms[item]) // MS_PER_DAY) for item in items],
            "exposure_7d": [row[1] for row in rows], "click_7d": [row[2] for row in rows],
            "maturity_tick_ms": [row[0] for row in rows], "repeat_count": [len(times) for times in taken],
            "repeat_age_days": [np.float32((at_ms - times[-1]) / MS_PER_DAY) if times else -1.0 for times in taken],
            "defaults": [""] * len(items), "ds": from_ms(at_ms).date().isoformat()})

    def write(self, table, rows, partition, mode="error"):
        write_deltalake(str(Layout(self.home).table(table)), rows, partition_by=partition, mode=mode)

    def audit(self, **options):
        """What the audit says of `served` as it is now."""
        table = pa.Table.from_pylist(self.served, schema=served_schema())
        write_deltalake(str(Layout(self.home).table("served_features")), table, partition_by=["ds"], mode="overwrite")
        return audit(Layout(self.home), FIRST, AS_OF, **options)

    def write_lake(self):
        plain = ("event_id", "event_type", "user_id", "item_id", "offset")
        self.write("events", pa.table({
            **{name: [event[name] for event in self.events] for name in plain},
            "event_time": moments([event["event_ms"] for event in self.events]),
            "ingest_time": moments([event["ingest_ms"] for event in self.events]),
            "partition": pa.array([event["partition"] for event in self.events], pa.int32()),
            "source": ["kafka"] * len(self.events), "ds": [day(event["ingest_ms"]) for event in self.events]}), ["ds"])
        rows = [(item, *row) for item, listed in self.rebuilt.items() for row in listed]
        item, tick, exposure, click = zip(*rows, strict=True)
        self.write("item_maturity_rebuilt", pa.table({
            "item_id": item, "tick": moments(tick), "exposure_7d": exposure, "click_7d": click, "ds": list(map(day, tick))}),
            ["ds"])
        self.write("semantic_ids", pa.table({
            "item_id": [item for item, _ in self.sids], "codes": pa.array(self.sids.values(), pa.list_(pa.int32())),
            "assigned_at": moments([T0 + MS_PER_DAY] * len(self.sids)), "codebook_version": [name for _, name in self.sids]}),
            ["codebook_version"])
        self.write("items", pa.table({
            "item_id": list(self.published_ms), "published_at": moments(self.published_ms.values()),
            "ingest_time": moments(self.published_ms.values()), "offset": pa.array(range(ITEMS), pa.int64())}), None)


def moments(times_ms):
    return pa.array(list(times_ms), pa.timestamp("ms", tz="UTC")).cast(TIMESTAMP)


def day(at_ms):
    return from_ms(at_ms).date().isoformat()


@pytest.fixture(scope="session")
def made_shop(tmp_path_factory):
    events = make_events()
    first, random = first_sightings(events), np.random.default_rng(6)
    shop = Shop(
        tmp_path_factory.mktemp("shop"), events, first, rebuilt_rows(first),
        {(f"i{n}", codebook): random.integers(0, 256, 4).tolist() for codebook in CODEBOOKS for n in range(ITEMS - 2)},
        {f"i{n}": T0 - n * MS_PER_DAY for n in range(ITEMS)})
    for number, at_ms in enumerate(np.sort(random.integers(8 * MS_PER_DAY, 10 * MS_PER_DAY, 60)).tolist()):
        items = [f"i{n}" for n in random.choice(ITEMS, 8, replace=False)]
        shop.serve(number, f"u{random.integers(0, USERS + 1)}", items, T0 + at_ms, CODEBOOKS[number // 30])
    shop.write_lake()
    return shop


@pytest.fixture
def shop(made_shop):
    """The lake of the run, with served rows of the test's own."""
    mine = copy.copy(made_shop)
    mine.served = copy.deepcopy(made_shop.served)
    return mine
