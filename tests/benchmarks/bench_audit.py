"""A shop replayed through the whole system, and the audit of what it was served: is every value the lake's?

    python tests/benchmarks/bench_audit.py [--requests 5200] [--events 600000] [--keep FOLDER]

Events go into a broker of its own in virtual time, one in ten late by up to two days, one in twenty sent again. The stream's
maturity and lake roles read them; requests of 200 candidates are ranked, half of them while the stream is pushing; half way
another codebook is materialised and then served, while requests go on. Then Spark rebuilds maturity from the lake's events and
the audit compares every served value with it. Prints the audit and ends with its exit code.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from deltalake import write_deltalake  # noqa: E402

import serving  # noqa: E402, F401  (chooses the Keras version, before anything imports TensorFlow)
from features import names  # noqa: E402
from features.audit.__main__ import main as audit  # noqa: E402
from features.catalogue import ITEM_COLUMNS  # noqa: E402
from features.clock import MS_PER_DAY, FixedClock, SystemClock, day_start_ms, from_ms  # noqa: E402
from features.events import CLICK, IMPRESSION, ORDER  # noqa: E402
from features.layout import Layout  # noqa: E402
from features.materialize import materialize, steps  # noqa: E402
from features.retrieval import FeatureStoreConfig, OnlineFeatures  # noqa: E402
from features.windows import AVAILABILITY_DELAY_MS  # noqa: E402
from infra.broker import running_broker  # noqa: E402
from infra.valkey import running_valkey  # noqa: E402
from serving.entity_index import EntityIndex  # noqa: E402
from serving.rank import RankingService  # noqa: E402
from serving.served_log import ServedLog  # noqa: E402
from serving.served_model import ServedModel  # noqa: E402
from streaming.config import StreamConfig  # noqa: E402
from streaming.consumer import MaturityRole  # noqa: E402
from streaming.dead_letter import DeadLetters  # noqa: E402
from streaming.heartbeat import Heartbeats, write_heartbeat  # noqa: E402
from streaming.kafka_io import Broker, Producer  # noqa: E402
from streaming.lake_tables import LakeTable  # noqa: E402
from streaming.raw_lake import LakeRole  # noqa: E402
from streaming.report import Report  # noqa: E402
from streaming.role import Stop, run_role  # noqa: E402
from streaming.sinks import FeastPushSink, LakeSink  # noqa: E402
from streaming.state_store import Identity  # noqa: E402
from streaming.user_history import UserHistories  # noqa: E402
from streaming.valkey_store import ValkeyStateStore, connect  # noqa: E402

START, DAYS, SERVED_DAYS = date(2026, 1, 1), 10, 2
STEP_MS = 1_800_000
ITEMS, USERS, CANDIDATES = 5_000, 3_000, 200
CODEBOOKS = ("cb-a", "cb-b")
LATE, REPEATED = 0.1, 0.05


class Shop:
    """The log, made in ingest order, and where the replay stands in it."""

    def __init__(self, config: StreamConfig, events: int) -> None:
        self.config, self.random, self.producer = config, np.random.default_rng(1), Producer(config.bootstrap, linger_ms=50)
        self.t0 = day_start_ms(START)
        self.ingest = self.t0 + np.sort(self.random.integers(0, DAYS * MS_PER_DAY, events))
        late = self.random.random(events) < LATE
        self.event_ms = self.ingest - late * self.random.integers(0, 2 * MS_PER_DAY, events)
        self.items = np.minimum(self.random.zipf(1.3, events), ITEMS) - 1
        self.users, self.kinds = self.random.integers(0, USERS, events), self.random.choice(
            [IMPRESSION, CLICK, ORDER], events, p=[0.75, 0.2, 0.05])
        self.number = np.arange(events)
        again = np.flatnonzero(self.random.random(events) < REPEATED)
        again = again[again > 0]
        earlier = np.maximum(0, again - self.random.integers(1, 20_000, len(again)))
        for column in (self.event_ms, self.items, self.users, self.kinds, self.number):
            column[again] = column[earlier]
        self.sent = 0

    def play_until(self, virtual_ms: int) -> None:
        """Send the events up to a moment, and to every partition a heartbeat of it."""
        end = int(np.searchsorted(self.ingest, virtual_ms))
        for n in range(self.sent, end):
            item = f"i{self.items[n]}"
            value = {"event_id": f"e{self.number[n]}", "event_type": str(self.kinds[n]), "user_id": f"u{self.users[n]}",
                     "item_id": item, "event_time": int(self.event_ms[n])}
            self.producer.send(self.config.events_topic, item.encode(), msgspec.json.encode(value), time_ms=int(self.ingest[n]))
        for partition in range(self.config.partitions):
            write_heartbeat(self.producer, self.config.events_topic, partition, virtual_ms)
        self.producer.flush()
        self.sent = end


class Stream:
    """The maturity and the lake role, each in a thread."""

    def __init__(self, config: StreamConfig, features: OnlineFeatures) -> None:
        self.broker, producer, client = Broker(config.bootstrap), Producer(config.bootstrap), connect(config.valkey_url)
        identity = Identity(self.broker.cluster_id(), config.events_topic, config.partitions, config.interval_ms,
                            config.dedupe_horizon_ms)
        online, self.config, self.stop = FeastPushSink(features), config, Stop()
        self.maturity = MaturityRole(
            config, ValkeyStateStore(client, config.group, identity), UserHistories(client, config.group), online,
            LakeSink(config.layout.table(names.TABLE_MATURITY_LOG), config.group, config.events_topic), online,
            DeadLetters(producer, config.dead_letters_topic), Heartbeats(producer, self.broker, config.events_topic, 10**9),
            Report(config, "maturity"), SystemClock())
        self.lake = LakeRole(config, self.broker.cluster_id(), Report(config, "lake"))
        self.threads = [threading.Thread(target=run_role, args=(config, role, role.report, self.stop), daemon=True)
                        for role in (self.maturity, self.lake)]
        for thread in self.threads:
            thread.start()

    def settled(self) -> bool:
        """Whether every event sent is counted and every row pushed."""
        ends = self.broker.end_offsets(self.config.events_topic, range(self.config.partitions))
        read = {part.partition: offset for part, offset in self.maturity.positions.items()}
        return read == ends and not any(held.outbox for held in self.maturity.held.values())

    def wait(self) -> None:
        while not self.settled():
            assert all(thread.is_alive() for thread in self.threads), "a role ended: see its output"
            time.sleep(0.05)

    def end(self) -> None:
        self.stop.event.set()
        for thread in self.threads:
            thread.join(60)


def write_tables(layout: Layout) -> None:
    """The catalogue, and SIDs of two codebooks for all but the last items."""
    random, at = np.random.default_rng(2), pa.timestamp("us", tz="UTC")
    published = day_start_ms(START) - random.integers(0, 100 * MS_PER_DAY, ITEMS)
    items = LakeTable(layout.table(names.TABLE_ITEMS), ITEM_COLUMNS)
    items.append(items.rows({
        "item_id": [f"i{n}" for n in range(ITEMS)], "title": [f"Item {n}" for n in range(ITEMS)],
        "attributes": [None] * ITEMS, "published_at": published, "vector": [None] * ITEMS, "ingest_time": published,
        "source": ["history"] * ITEMS, "partition": [-1] * ITEMS, "offset": np.arange(ITEMS)}), {})
    given = ITEMS - 50
    write_deltalake(str(layout.table(names.TABLE_SEMANTIC_IDS)), pa.table({
        "item_id": [f"i{n}" for n in range(given)] * 2,
        "codes": pa.array(random.integers(0, 256, (2 * given, 4)).astype("int32").tolist(), pa.list_(pa.int32())),
        "assigned_at": pa.array([day_start_ms(START) * 1000] * 2 * given).cast(at),
        "codebook_version": [name for name in CODEBOOKS for _ in range(given)]}), partition_by=["codebook_version"])


def push_tables(layout: Layout, features: OnlineFeatures, codebook: str, at_ms: int, tables: tuple[str, ...]) -> None:
    planned = steps(features, START + timedelta(days=1), codebook, at_ms)
    materialize(layout, [step for step in planned if step.table in tables])


class Requests:
    """Ranks, as a stack of ranking servers would, at virtual moments."""

    def __init__(self, features: OnlineFeatures, log: ServedLog, seed: int) -> None:
        index = EntityIndex([f"i{n}" for n in range(0, ITEMS, 2)], np.arange(2, 2 + ITEMS // 2))
        users = EntityIndex([f"u{n}" for n in range(USERS)], np.arange(2, 2 + USERS))
        self.models = {name: ServedModel(2026010100 + n, "bench", name, index, users) for n, name in enumerate(CODEBOOKS)}
        self.follower = SimpleNamespace(current=self.models[CODEBOOKS[0]])
        predictor = SimpleNamespace(predict=lambda inputs, *_: SimpleNamespace(
            version=self.follower.current.version, outputs={"ctr": np.zeros(len(inputs["item_row"]), np.float32)}))
        self.clock, self.random = FixedClock(from_ms(0)), np.random.default_rng(seed)
        self.service = RankingService(features, self.follower, predictor, self.clock, served_log=log)

    def rank(self, number: int, at_ms: int) -> None:
        self.clock.at = from_ms(at_ms)
        for _ in range(number):
            chosen = np.unique(np.minimum(self.random.zipf(1.1, 3 * CANDIDATES), ITEMS + 20)) - 1
            others = self.random.permutation(ITEMS)[:CANDIDATES]
            candidates = list(dict.fromkeys([*chosen[:CANDIDATES // 2].tolist(), *others.tolist()]))[:CANDIDATES]
            self.service.rank(f"u{self.random.integers(0, USERS + 30)}", [f"i{n}" for n in candidates])


def replay(config: StreamConfig, valkey: str, given: argparse.Namespace) -> None:
    layout = config.layout
    features = OnlineFeatures(FeatureStoreConfig(config.home, valkey))
    features.apply()
    write_tables(layout)
    push_tables(layout, features, CODEBOOKS[0], day_start_ms(START), (names.TABLE_SEMANTIC_IDS, names.TABLE_ITEMS))
    shop, stream = Shop(config, given.events), Stream(config, features)
    served_from = shop.t0 + (DAYS - SERVED_DAYS) * MS_PER_DAY
    began = time.monotonic()
    shop.play_until(served_from)
    stream.wait()
    print(f"{shop.sent:,} events before the first request in {time.monotonic() - began:.0f} s", flush=True)
    moments = range(served_from + STEP_MS, shop.t0 + DAYS * MS_PER_DAY, STEP_MS)
    racing = settled = max(1, given.requests // len(moments) // 2)
    with ServedLog(layout.table(names.TABLE_SERVED_FEATURES)) as log:
        requests = Requests(features, log, 3)
        for number, moment in enumerate(moments):
            switch = threading.Thread(target=push_tables, args=(
                layout, features, CODEBOOKS[1], moment, (names.TABLE_SEMANTIC_IDS,))) if number == len(moments) // 2 else None
            if switch:
                switch.start()
            shop.play_until(moment)
            requests.rank(racing, moment)
            stream.wait()
            requests.rank(settled, moment + AVAILABILITY_DELAY_MS)
            if switch:
                switch.join()
                requests.follower.current = requests.models[CODEBOOKS[1]]
        shop.play_until(shop.t0 + DAYS * MS_PER_DAY)
        stream.wait()
    stream.end()
    outcomes = stream.maturity.report.progress.outcomes
    print(f"{len(moments) * (racing + settled):,} requests in {time.monotonic() - began:.0f} s | stream: "
          + ", ".join(f"{name} {count:,}" for name, count in sorted(outcomes.items())), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=5_200)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave lake and report here")
    given = parser.parse_args()
    scratch = ROOT / "var" / "tmp" / "bench_audit"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home = (given.keep or Path(folder)).resolve()
        with running_broker(home, heap_mb=512) as broker, running_valkey(home) as valkey:
            config = StreamConfig(home, broker, f"redis://{valkey}", "bench-audit", batch_records=20_000, report_s=30)
            replay(config, valkey, given)
        as_of = START + timedelta(days=DAYS)
        os.environ["GATESID_HOME"] = str(home)
        subprocess.run([sys.executable, "-m", "spark_jobs.item_stats", "--from", START.isoformat(),
                        "--as-of", as_of.isoformat()], cwd=ROOT, check=True)
        first = as_of - timedelta(days=SERVED_DAYS)
        # Requests that race the stream are of the end of a step that it is still reading: a step late at most.
        return audit(["--from", first.isoformat(), "--as-of", as_of.isoformat(), "--late-after", str(STEP_MS / 1000)])


if __name__ == "__main__":
    sys.exit(main())
