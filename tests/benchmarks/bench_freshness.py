"""The times that a user of the stream asks about, through its real processes: broker, store, `python -m streaming run`, Feast.

    python tests/benchmarks/bench_freshness.py [--rate 5000] [--seconds 60] [--a-day 20000] [--weeks 5]

One life: weeks of steady virtual time, after each of which the state is weighed; a new group that catches up on all of it from
an empty state; then live events at a steady rate, with probes among them: a click of an item of its own each, from just before
it is sent until Feast's online store has it; at last `kill -9`, with a supervisor's restart, and with a second consumer there.
"""

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import numpy as np  # noqa: E402

from features.clock import MS_PER_DAY, SystemClock, day_start_ms  # noqa: E402
from features.events import CLICK, IMPRESSION  # noqa: E402
from features.retrieval import FeatureStoreConfig, OnlineFeatures  # noqa: E402
from infra.broker import running_broker, set_append_time  # noqa: E402
from infra.settings import load_settings  # noqa: E402
from infra.valkey import running_valkey  # noqa: E402
from streaming.heartbeat import write_heartbeat  # noqa: E402
from streaming.kafka_io import Broker, Producer  # noqa: E402
from streaming.wiring import config_from, open_store  # noqa: E402

PROBES_A_S = 4
USERS, ITEMS_ON_SALE, NEW_ITEMS_A_DAY = 20_000, 5_000, 250
WAIT_S = 300.0


def event(name: str, item: str, user: int, click: bool, time_ms: int) -> bytes:
    return msgspec.json.encode({"event_id": name, "event_type": CLICK if click else IMPRESSION, "user_id": f"user-{user}",
                                "item_id": item, "event_time": time_ms})


def wait_for(met: Callable[[], object], what: str) -> float:
    """How long it took."""
    began = time.monotonic()
    while not met():
        if time.monotonic() - began > WAIT_S:
            raise SystemExit(f"not within {WAIT_S:.0f} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


class Stream:
    """A consumer group with a state folder of its own, its processes, and how far it is."""

    def __init__(self, home: Path, group: str, kafka: str, valkey: str) -> None:
        self.environ = os.environ | {"GATESID_HOME": str(home), "GATESID_KAFKA": kafka, "GATESID_VALKEY": valkey,
                                     "GATESID_STREAM__GROUP": group}
        self.config = config_from(load_settings(self.environ))
        self.online = OnlineFeatures(FeatureStoreConfig(home, valkey))
        self.online.apply()
        self.broker, self.log = Broker(kafka), home / "consumers.log"
        self.store = open_store(self.config, self.broker)
        self.parts = range(self.config.partitions)

    def start(self, instance: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "streaming", "run", "--role", "maturity", "--instance", instance, "--metrics", "off"]
        with self.log.open("ab") as out:
            return subprocess.Popen(command, env=self.environ, cwd=ROOT, stdout=out, stderr=out)

    def taken_in(self) -> int:
        return sum(0 if (at := self.store.position(p)) is None else at.offset for p in self.parts)

    def behind(self) -> int:
        return sum(self.broker.end_offsets(self.config.events_topic, self.parts).values()) - self.taken_in()

    def settled(self) -> bool:
        return self.behind() == 0 and not any(self.store.outbox(p) for p in self.parts)

    def weigh(self, keys: str) -> int:
        """Bytes of such keys of the group in the store."""
        client = self.store.client
        pipe = client.pipeline(transaction=False)
        for key in client.scan_iter(match=keys, count=5_000):
            pipe.memory_usage(key, samples=0)
        return sum(pipe.execute())


def play_days(stream: Stream, producer: Producer, first_day: int, days: range, a_day: int) -> None:
    """Events of items that are on sale for twenty days, in virtual time; then time passes the last day's end."""
    rng = np.random.default_rng(days.start)
    for day in days:
        times = (first_day + day * MS_PER_DAY + np.sort(rng.integers(0, MS_PER_DAY, a_day))).tolist()
        items = day * NEW_ITEMS_A_DAY + rng.integers(0, ITEMS_ON_SALE, a_day)
        clicks, users = rng.random(a_day) < 0.1, rng.integers(0, USERS, a_day)
        for n, time_ms in enumerate(times):
            item = f"item-{items[n]}"
            producer.send(stream.config.events_topic, item.encode(),
                          event(f"d{day}-{n}", item, users[n], bool(clicks[n]), time_ms), time_ms=time_ms)
    for partition in stream.parts:
        write_heartbeat(producer, stream.config.events_topic, partition, first_day + days.stop * MS_PER_DAY)
    producer.flush()


def month(stream: Stream, first_day: int, a_day: int, weeks: int) -> None:
    consumer, producer = stream.start("a"), Producer(stream.config.bootstrap, linger_ms=20)
    for week in range(weeks):
        play_days(stream, producer, first_day, range(7 * week, 7 * week + 7), a_day)
        wait_for(stream.settled, f"week {week + 1} is published")
        state, takes = (stream.weigh(f"gatesid:{keys}") / 1e6 for keys in ("{month/*", "month:*"))
        print(f"week {week + 1}: state {state:.2f} MB, histories (at most 500 takes a user) {takes:.2f} MB", flush=True)
    end(consumer)


def end(consumer: subprocess.Popen) -> None:
    consumer.send_signal(signal.SIGTERM)
    consumer.wait(20)


def backfill(stream: Stream) -> subprocess.Popen:
    """From an empty state to everything published. The consumer goes on."""
    records, consumer = stream.behind(), stream.start("a")
    starting = wait_for(stream.taken_in, "the first commit")
    seconds = wait_for(stream.settled, "caught up")
    print(f"backfill: {records:,} events from an empty state, caught up and pushed {seconds:.1f} s after the first commit: "
          f"{records / seconds:,.0f} ev/s (and {starting:.1f} s to start)", flush=True)
    return consumer


def send_steadily(bootstrap: str, topic: str, rate: int, stop: multiprocessing.Event) -> None:
    """`rate` events a second, in slices of 20 ms; in a process of its own."""
    rng, producer, clock = np.random.default_rng(5), Producer(bootstrap, linger_ms=5), SystemClock()
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * rate)
        for n in range(sent, due):
            item, click = f"item-{min(rng.zipf(1.2), ITEMS_ON_SALE)}", rng.random() < 0.1
            producer.send(topic, item.encode(), event(f"live-{n}", item, rng.integers(USERS), click, clock.now_ms()))
        sent = due
        time.sleep(0.02)
    producer.flush()
    print(f"load: {sent / (time.monotonic() - began):,.0f} ev/s", flush=True)


def freshness(stream: Stream, seconds: float) -> list[float]:
    """Seconds from just before a click is sent to when a reader of the online store sees it, for each probe."""
    producer, clock, waiting, took = Producer(stream.config.bootstrap, linger_ms=0), SystemClock(), {}, []
    began, sent = time.monotonic(), 0
    while waiting or sent < seconds * PROBES_A_S:
        if sent < min(seconds, time.monotonic() - began) * PROBES_A_S:
            item = f"probe-{sent}"
            waiting[item], sent = time.monotonic(), sent + 1
            producer.send(stream.config.events_topic, item.encode(), event(item, item, sent, True, clock.now_ms()))
            producer.flush()
        asked = list(waiting)
        seen = stream.online.read_items(asked).click_7d if asked else []
        took += [time.monotonic() - waiting.pop(item) for item, clicks in zip(asked, seen, strict=True) if clicks > 0]
        if waiting and time.monotonic() - min(waiting.values()) > WAIT_S:
            raise SystemExit(f"{len(waiting)} clicks were not readable after {WAIT_S:.0f} s")
        time.sleep(0.02)
    producer.close()
    return took


def recovery(stream: Stream, rate: int) -> float:
    """Seconds from now (something was just killed) until no more than a second's events wait."""
    return (wait_for(lambda: stream.behind() > 1.5 * rate, "events wait")
            + wait_for(lambda: stream.behind() <= rate, "caught up after the kill"))


def live(stream: Stream, consumer: subprocess.Popen, rate: int, seconds: float) -> None:
    set_append_time(stream.config.bootstrap)
    stop = multiprocessing.Event()
    load = multiprocessing.Process(target=send_steadily,
                                   args=(stream.config.bootstrap, stream.config.events_topic, rate, stop))
    load.start()
    time.sleep(5)
    took = np.array(freshness(stream, seconds))
    print(f"freshness at {rate:,} ev/s, publish interval {stream.config.interval_ms / 1000:g} s: append to readable "
          f"p50 {np.quantile(took, .5):.2f} s, p99 {np.quantile(took, .99):.2f} s, at most {took.max():.2f} s "
          f"({len(took)} probes)", flush=True)
    consumer.kill()
    consumer.wait()
    first = stream.start("a")
    print(f"kill -9, started again at once: caught up after {recovery(stream, rate):.1f} s", flush=True)
    second = stream.start("b")
    wait_for(stream.config.ready_file("maturity").with_name("stream-maturity-b.ready").exists, "the second consumer is ready")
    first.kill()
    first.wait()
    print(f"kill -9 of one of two: the other has caught up after {recovery(stream, rate):.1f} s", flush=True)
    stop.set()
    load.join()
    end(second)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000, help="live events a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of probes")
    parser.add_argument("--a-day", type=int, default=20_000, help="events of a virtual day")
    parser.add_argument("--weeks", type=int, default=5)
    given = parser.parse_args(argv)
    scratch = ROOT / "var" / "tmp" / "bench_freshness"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, running_broker(Path(folder), heap_mb=512) as kafka, \
            running_valkey(Path(folder)) as valkey:
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
        first_day = day_start_ms(SystemClock().now().date()) - 7 * given.weeks * MS_PER_DAY
        month(Stream(Path(folder) / "month", "month", kafka, valkey), first_day, given.a_day, given.weeks)
        stream = Stream(Path(folder) / "live", "live", kafka, valkey)
        live(stream, backfill(stream), given.rate, given.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
