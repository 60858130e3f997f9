"""Events a second from Kafka to committed state and pushed rows, against a bare poll loop that only counts records.

    python tests/benchmarks/bench_stream.py [--events 500000] [--items 200000] [--days 7] [--online]

Starts a broker and a Valkey of its own. `--online` pushes to Feast's online store; without it the online sink only counts.
Prints the rates by the clock and by the processor time of this process (which another load on the machine does not change),
their ratios, and with --profile where the time goes; bytes an event.
"""

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import pandas  # noqa: E402, F401  As Feast does at the start of the role: else pyarrow does while the clock runs.

from features.clock import SystemClock  # noqa: E402
from features.events import CLICK, IMPRESSION  # noqa: E402
from features.windows import DEDUPE_HORIZON_MS, HOUR_MS  # noqa: E402
from infra.broker import running_broker  # noqa: E402
from infra.valkey import running_valkey  # noqa: E402
from streaming.changes import HOUR, ITEMS, SEEN_IDS, Changes, segment  # noqa: E402
from streaming.config import StreamConfig  # noqa: E402
from streaming.consumer import MaturityRole  # noqa: E402
from streaming.dead_letter import DeadLetters  # noqa: E402
from streaming.group_consumer import GroupConsumer  # noqa: E402
from streaming.heartbeat import Heartbeats, write_heartbeat  # noqa: E402
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


def produce(config: StreamConfig, events: int, items: int, days: float) -> None:
    rng, producer = np.random.default_rng(1), Producer(config.bootstrap, linger_ms=50)
    times = T0 + np.sort(rng.integers(0, int(days * DAY_MS), events))
    chosen = np.minimum(rng.zipf(1.2, events), items)
    clicks, users = rng.random(events) < 0.1, rng.integers(0, 50_000, events)
    for n in range(events):
        item = f"item-{chosen[n]}"
        value = {"event_id": f"event-{n:012}", "event_type": CLICK if clicks[n] else IMPRESSION, "user_id": f"user-{users[n]}",
                 "item_id": item, "event_time": int(times[n]), "request_id": f"request-{n // 10}"}
        producer.send(config.events_topic, item.encode(), msgspec.json.encode(value), time_ms=int(times[n]))
    for partition in range(config.partitions):
        write_heartbeat(producer, config.events_topic, partition, int(times[-1]) + 60_000)
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


def remember(config: StreamConfig, store: ValkeyStateStore, ids: int) -> None:
    """A state that remembers so many ids, spread over the hours before the first event."""
    rng, hours = np.random.default_rng(2), DEDUPE_HORIZON_MS // HOUR_MS
    per_hour = ids // config.partitions // hours
    for partition in range(config.partitions):
        expected = None
        for hour in range(T0 - hours * HOUR_MS, T0, HOUR_MS):
            rows = np.empty(per_hour, SEEN)
            rows["high"], rows["low"] = (rng.integers(0, 2**64, per_hour, np.uint64) for _ in range(2))
            rows["last_seen"] = hour + rng.integers(0, HOUR_MS, per_hour)
            changes = Changes()
            changes.append(segment(SEEN_IDS, hour), rows.tobytes())
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


def consume(config: StreamConfig, online, total: int, profile: bool, remembered: int = 0) -> tuple[float, float]:
    """Records a second from the first poll that brought some to caught up and pushed."""
    broker, producer, client = Broker(config.bootstrap), Producer(config.bootstrap), connect(config.valkey_url)
    identity = Identity(broker.cluster_id(), config.events_topic, config.partitions, config.interval_ms,
                        config.dedupe_horizon_ms)
    report, stop = Report(config, "maturity"), Stop()
    store = ValkeyStateStore(client, config.group, identity)
    if remembered:
        remember(config, store, remembered)
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
    final: list[str] = []

    def caught_up():
        final.append(sizes(role, store))
        stop.event.set()
    report.ready = caught_up
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    run_role(config, role, report, stop)
    rates = began[0].rates(total)
    profiler.disable()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(60)
    assert report.progress.records == total, report.progress
    ids, used = report.progress.outcomes["counted"], client.info("memory")["used_memory"]
    active = sum(len(held.state.item_ids) for held in role.held.values())
    print(f"{report.progress.pushed['item_maturity']:,} rows published; {active:,} items; Valkey holds {used / 1e6:.0f} MB, "
          f"{used / ids:.0f} bytes an event")
    print(final[0])
    broker.close()
    return rates


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--batch", type=int, default=20_000, help="records a poll, at most")
    parser.add_argument("--remembered", type=int, default=0, help="ids that the store remembers from before, e.g. 50000000")
    parser.add_argument("--online", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where the time goes (slows the run)")
    given = parser.parse_args(argv)
    scratch = ROOT / "var" / "tmp" / "bench_stream"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, running_broker(Path(folder), heap_mb=512) as broker, \
            running_valkey(Path(folder)) as valkey:
        config = StreamConfig(Path(folder), broker, f"redis://{valkey}", "bench", batch_records=given.batch, report_s=5)
        produce(config, given.events, given.items, given.days)
        online = Counter()
        if given.online:
            from features.retrieval import FeatureStoreConfig, OnlineFeatures
            features = OnlineFeatures(FeatureStoreConfig(Path(folder), valkey))
            features.apply()
            online = FeastPushSink(features)
        total = given.events + config.partitions
        bare = bare_poll(config, total)
        rate = consume(replace(config, group="bench-full"), online, total, given.profile, given.remembered)
    for name, bare_rate, full in zip(("clock", "processor time"), bare, rate, strict=True):
        print(f"by {name}: bare poll {bare_rate:,.0f} ev/s | stream {full:,.0f} ev/s | ratio {full / bare_rate:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
