"""A lake of a few events under a test's own home, written as the consumers write it (delta-rs), and runs of jobs on it."""

import shutil
from argparse import Namespace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.clock import from_ms, parse_as_of, to_ms
from features.names import TABLE_EVENTS, TABLE_ITEMS
from infra.settings import load_settings
from spark_jobs.run import Run

TIMESTAMP = pa.timestamp("us", tz="UTC")
EVENT_SCHEMA = pa.schema([
    ("event_id", pa.string()), ("event_type", pa.string()), ("user_id", pa.string()), ("item_id", pa.string()),
    ("event_time", TIMESTAMP), ("request_id", pa.string()), ("context", pa.string()), ("ingest_time", TIMESTAMP),
    ("source", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("ds", pa.string())])
ITEM_SCHEMA = pa.schema([
    ("item_id", pa.string()), ("title", pa.string()), ("attributes", pa.string()), ("published_at", TIMESTAMP),
    ("vector", pa.list_(pa.float32())), ("ingest_time", TIMESTAMP), ("source", pa.string()), ("partition", pa.int32()),
    ("offset", pa.int64())])


def ms(text: str) -> int:
    """Milliseconds of "01-05 10:00[:05]", a moment of 2026, UTC."""
    return to_ms(datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC))


def event(event_id, kind, user, item, at, ingest=None, request=None):
    """One event; `at` and `ingest` are milliseconds or moments as `ms` takes them. It is ingested when it happens."""
    at = ms(at) if isinstance(at, str) else at
    ingest = at if ingest is None else ms(ingest) if isinstance(ingest, str) else ingest
    return {"event_id": event_id, "event_type": kind, "user_id": user, "item_id": item, "event_time": from_ms(at),
            "request_id": request, "context": None, "ingest_time": from_ms(ingest), "source": "kafka", "partition": 0,
            "offset": 0, "ds": from_ms(ingest).date().isoformat()}


class Home:
    """A state folder with a lake in it."""

    def __init__(self, path, spark):
        self.spark = spark
        self.settings = load_settings({
            "GATESID_HOME": str(path), "GATESID_SPARK__SHUFFLE_PARTITIONS": "2", "GATESID_TRAINING__USER_DAY_SHARE": "1.0"})
        self.layout = self.settings.layout
        self.offset = 0

    def add_events(self, events):
        for row in events:
            self.offset += 1
            row["offset"] = self.offset
        table = pa.Table.from_pylist(events, schema=EVENT_SCHEMA)
        write_deltalake(str(self.layout.table(TABLE_EVENTS)), table, mode="append", partition_by=["ds"])

    def add_items(self, items):
        """items: (item_id, title, attributes JSON, published, vector, ingest) with moments as `ms` takes them."""
        rows = []
        for item_id, title, attributes, published, vector, ingest in items:
            self.offset += 1
            rows.append({"item_id": item_id, "title": title, "attributes": attributes, "published_at": from_ms(ms(published)),
                         "vector": vector, "ingest_time": from_ms(ms(ingest)), "source": "kafka", "partition": 0,
                         "offset": self.offset})
        write_deltalake(str(self.layout.table(TABLE_ITEMS)), pa.Table.from_pylist(rows, schema=ITEM_SCHEMA), mode="append")

    def run(self, job, first, as_of, **arguments):
        """Run a job module's `work` and return the finished Run."""
        return self.execute(job, parse_as_of(first), parse_as_of(as_of), Namespace(first=first, **arguments))

    def run_all(self, job, as_of, **arguments):
        """The same without --from."""
        end = parse_as_of(as_of)
        return self.execute(job, end - timedelta(days=1), end, Namespace(first=None, **arguments))

    def begin(self, job, first, as_of):
        """A Run whose work a test does by hand."""
        return Run(job.__name__.split(".")[-1], self.spark, self.settings, parse_as_of(first), parse_as_of(as_of))

    def drop(self, table):
        shutil.rmtree(self.layout.table(table))

    def execute(self, job, first, as_of, arguments):
        run = self.begin(job, first.isoformat(), as_of.isoformat())
        job.work(run, arguments)
        run.finish()
        return run

    def rows(self, table, *columns):
        """Sorted rows of the newest version, as tuples."""
        found = DeltaTable(str(self.layout.table(table))).to_pyarrow_table(columns=list(columns))
        return sorted(zip(*(found[name].to_pylist() for name in columns), strict=True))


@pytest.fixture
def home(tmp_path, spark):
    return Home(tmp_path, spark)
