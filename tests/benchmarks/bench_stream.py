"""Events a second from Kafka to committed state and pushed rows, against a bare poll loop that only counts records.

    python tests/benchmarks/bench_stream.py [--events 500000] [--items 200000] [--days 7] [--online]
    python tests/benchmarks/bench_stream.py --known 10000000 --days 1    the cost an event with so many items in use
    python tests/benchmarks/bench_stream.py --remembered 50000000 --days 1    with so many ids remembered, and without

Starts a broker and a Valkey of its own. `--online` pushes to Feast's online store; without it the online sink only counts.
Prints the rates by the clock and by the processor time of this process (which another load on the machine does not change),
their ratios to the bare loop, and with --profile where the time goes; bytes an event, an id and an item; this process's memory.
"""

import argparse
import cProfile
import pstats
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import pandas  # noqa: E402, F401  As Feast does at the start of the role: else pyarrow does while the clock runs.

from features.clock import SystemClock  # noqa: E402
from features.events import CLICK, IMPRESSION  # noqa: E402
from features.windows import HOUR_MS, WINDOW_HOURS  # noqa: E402
from infra.broker import running_broker  # noqa: E402
from infra.valkey import running_valkey  # noqa: E402
from streaming.changes import HOUR, ITEMS, SEEN_IDS, Changes, encode_items, segment  # noqa: E402
from streaming.config import StreamConfig  # noqa: E402
from streaming.consumer import MaturityRole  # noqa: E402
from streaming.dead_letter import DeadLetters  # noqa: E402
from streaming.group_consumer import GroupConsumer  # noqa: E402
from streaming.heartbeat import Heartbeats, write_heartbeat  # noqa: E402
from streaming.hour_counts import HOUR_ENTRY  # noqa: E402
from streaming.kafka_io import Broker, Producer  # noqa: E402
from streaming.report import Report  # noqa: E402
from streaming.role import Stop, run_role  # noqa: E402
from streaming.seen_ids import SEEN  # noqa: E402
from streaming.sinks import FeastPushSink, LakeSink  # noqa: E402
from streaming.state_store import Identity, Position  # noqa: E402
from streaming.user_history import UserHistories  # noqa: E402
from streaming.valkey_store import ValkeyStateStore, connect  # noqa: E402

T0, DAY_MS = 1_767_225_600_000, 86_400_000


class Counter:
    """A sink that costs nothing."""

    def push(self, rows):
        pass

    def push_histories(self, users, items, times_ms, version_ms):
        pass

    def unknown(self, item_ids):
        return 0


@dataclass(frozen=True)
class Load:
    events: int
    items: int
    days: float
    known: int  # items that the state counts something for already; events are then spread evenly over these

    def draw(self, rng: np.random.Generator, partitions: int) -> list[tuple[int | None, str]]:
        """The partition (None: by the key) and the item of each event."""
        if not self.known:
            return [(None, f"item-{n}") for n in np.minimum(rng.zipf(1.2, self.events), self.items).tolist()]
        rows = rng.integers(0, self.known // partitions, self.events).tolist()
        return [(n % partitions, known_item(n % partitions, row)) for n, row in enumerate(rows)]


def known_item(partition: int, row: int) -> str:
    return f"item-{partition}-{row}"


def produce(config: StreamConfig, load: Load) -> None:
    rng, producer = np.random.default_rng(1), Producer(config.bootstrap, linger_ms=50)
    times = (T0 + np.sort(rng.integers(0, int(load.days * DAY_MS), load.events))).tolist()
    clicks, users = (rng.random(load.events) < 0.1).tolist(), rng.integers(0, 50_000, load.events).tolist()
    for n, (partition, item) in enumerate(load.draw(rng, config.partitions)):
        value = {"event_id": f"event-{n:012}", "event_type": CLICK if clicks[n] else IMPRESSION, "user_id": f"user-{users[n]}",
                 "item_id": item, "event_time": times[n], "request_id": f"request-{n // 10}"}
        producer.send(config.events_topic, item.encode(), msgspec.json.encode(value), partition=partition, time_ms=times[n])
    for partition in range(config.partitions):
        write_heartbeat(producer, config.events_topic, partition, times[-1] + 60_000)
    producer.flush()
    producer.close()


class Stopwatch:
    """Events a second by the clock and by this process's own processor time."""

    def __init__(self) -> None:
        self.began = time.monotonic(), time.process_time()

    def rates(self, events: int) -> tuple[float, float]:
        return events / (time.monotonic() - self.began[0]), events / (time.process_time() - self.began[1])


def bare_poll(config: StreamConfig, total: int) -> tuple[float, float]:
    consumer = GroupConsumer(config.bootstrap, "bare", [config.events_topic], on_assigned=dict.fromkeys,
                             on_revoked=lambda parts: None, max_records=config.batch_records)
    count, watch = 0, Stopwatch()
    while count < total:
        found = sum(map(len, consumer.poll(100).values()))
        watch = watch if count else Stopwatch()
        count += found
    rates = watch.rates(count)
    consumer.close()
    return rates


def remember(config: StreamConfig, store: ValkeyStateStore, ids: int, known: int) -> None:
    """A state with so many remembered ids, of the week before the first event, and items, of the day before it: those stay."""
    rng, hours = np.random.default_rng(2), WINDOW_HOURS
    ids_per_hour, items = ids // config.partitions // hours, known // config.partitions
    first_with_items = hours - 24
    for partition in range(config.partitions):
        expected = None
        for n, hour in enumerate(range(T0 - hours * HOUR_MS, T0, HOUR_MS)):
            changes = Changes()
            seen = np.empty(ids_per_hour, SEEN)
            seen["high"], seen["low"] = (rng.integers(0, 2**64, ids_per_hour, np.uint64) for _ in range(2))
            seen["last_seen"] = hour + rng.integers(0, HOUR_MS, ids_per_hour)
            if ids:
                changes.append(segment(SEEN_IDS, hour), seen.tobytes())
            if known and n >= first_with_items:
                rows = np.arange((n - first_with_items) * items // 24, (n + 1 - first_with_items) * items // 24)
                counts = np.zeros(len(rows), HOUR_ENTRY)
                counts["row"], counts["exposure"] = rows, 1
                changes.append(ITEMS, encode_items([known_item(partition, row) for row in rows.tolist()]))
                changes.append(segment(HOUR, hour), counts.tobytes())
            store.commit(partition, expected, Position(0, T0, T0), changes, None)
            expected = 0


def sizes(role: MaturityRole, store: ValkeyStateStore) -> str:
    """Bytes in the store and in this process, by remembered id and by active item."""
    kept = {p: store.load(p).segments for p in role.held}
    of = {kind: sum(len(value) for segments in kept.values() for name, value in segments.items() if name.startswith(kind))
          for kind in (SEEN_IDS, HOUR, ITEMS)}
    states = [held.state for held in role.held.values()]
    ids, items = sum(len(state.seen) for state in states), sum(int(state.active().sum()) for state in states)
    memory = sum(part.nbytes for state in states for part in state.seen.segments)
    return (f"{ids:,} remembered ids: {of[SEEN_IDS] / max(ids, 1):.1f} bytes each in the store, {memory / max(ids, 1):.1f} in "
            f"the process; {items:,} active items: {(of[HOUR] + of[ITEMS]) / max(items, 1):.0f} bytes each in the store")


def consume(config: StreamConfig, online, total: int, profile: bool, remembered=0, known=0) -> tuple[float, float]:
    """Records a second from the first poll that brought some to caught up and pushed."""
    broker, producer, client = Broker(config.bootstrap), Producer(config.bootstrap), connect(config.valkey_url)
    identity = Identity(broker.cluster_id(), config.events_topic, config.partitions, config.interval_ms,
                        config.dedupe_horizon_ms)
    report, stop = Report(config, "maturity"), Stop()
    store = ValkeyStateStore(client, config.group, identity)
    if remembered or known:
        remember(config, store, remembered, known)
    role = MaturityRole(
        config, store, UserHistories(client, config.group), online,
        LakeSink(config.layout.table("item_maturity_log"), config.group, config.events_topic), online,
        DeadLetters(producer, config.dead_letters_topic), Heartbeats(producer, broker, config.events_topic, 10**9), report,
        SystemClock())
    began: list[Stopwatch] = []
    handle = role.handle

    def first_then_handle(part, records):
        began.append(Stopwatch())
        role.handle = handle
        handle(part, records)
    role.handle = first_then_handle
    final: list = []

    def caught_up():
        final.extend([began[0].rates(total), sizes(role, store)])
        stop.event.set()
    report.ready = caught_up
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    run_role(config, role, report, stop)
    rates, told = final
    profiler.disable()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(60)
    assert report.progress.records == total, report.progress
    ids, used = report.progress.outcomes["counted"], client.info("memory")["used_memory"]
    active = sum(len(held.state.item_ids) for held in role.held.values())
    print(f"{report.progress.pushed['item_maturity']:,} rows published; {active:,} items; Valkey holds {used / 1e6:.0f} MB, "
          f"{used / ids:.0f} bytes an event")
    print(f"{told}; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at most in this process so far")
    broker.close()
    return rates


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--batch", type=int, default=5_000, help="records a poll, at most")
    parser.add_argument("--remembered", type=int, default=0,
                        help="a second run, with so many ids remembered from before, e.g. 50000000; both rates are compared")
    parser.add_argument("--known", type=int, default=0, help="items that the state counts from before; events spread over them")
    parser.add_argument("--online", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where the time goes (slows the run)")
    given = parser.parse_args(argv)
    scratch = ROOT / "var" / "tmp" / "bench_stream"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, running_broker(Path(folder), heap_mb=512) as broker, \
            running_valkey(Path(folder)) as valkey:
        config = StreamConfig(Path(folder), broker, f"redis://{valkey}", "bench", batch_records=given.batch, report_s=5)
        produce(config, Load(given.events, given.items, given.days, given.known))
        online = Counter()
        if given.online:
            from features.retrieval import FeatureStoreConfig, OnlineFeatures
            features = OnlineFeatures(FeatureStoreConfig(Path(folder), valkey))
            features.apply()
            online = FeastPushSink(features)
        total = given.events + config.partitions
        bare = bare_poll(config, total)
        runs = {"stream": consume(replace(config, group="bench-full"), online, total, given.profile, known=given.known)}
        if given.remembered:
            runs[f"with {given.remembered:,} remembered ids"] = consume(
                replace(config, group="bench-remembering"), online, total, given.profile, given.remembered, given.known)
    for place, kind in enumerate(("clock", "processor time")):
        print(f"by {kind}: bare poll {bare[place]:,.0f} ev/s", *(
            f"{name} {rates[place]:,.0f} ev/s, {rates[place] / bare[place]:.2f}" for name, rates in runs.items()), sep=" | ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
