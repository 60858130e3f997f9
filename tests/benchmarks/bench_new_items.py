"""From a catalogue event to a SID that can be read, and are the stream's SIDs the nightly job's?

    python tests/benchmarks/bench_new_items.py [--rate 100] [--seconds 60] [--items 100000]

A broker, a Valkey and the processes `streaming run --role catalog|lake` of their own; a codebook of random weights at the real
sizes. Events become due at --rate a second, whatever the stream is busy with; an item's latency counts from that moment until a
read of the online store, asked again and again for all that are due, has its SID. Then --items more at once, and
`spark_jobs.sid_assignment` over what reached the lake: codes are compared byte for byte. Ends with 1 where one differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from deltalake import DeltaTable  # noqa: E402

from features.artefacts import write_json  # noqa: E402
from features.clock import SystemClock, from_ms  # noqa: E402
from features.layout import Layout  # noqa: E402
from features.names import TABLE_ITEMS, TOPIC_CATALOG  # noqa: E402
from features.retrieval import FeatureStoreConfig, OnlineFeatures  # noqa: E402
from infra.broker import running_broker  # noqa: E402
from infra.valkey import running_valkey  # noqa: E402
from model.codebook_diff import published_sids  # noqa: E402
from streaming.config import StreamConfig  # noqa: E402
from streaming.kafka_io import Broker, Producer  # noqa: E402
from streaming.new_items import PublishedSids  # noqa: E402
from streaming.send import go_live  # noqa: E402
from streaming.valkey_store import connect  # noqa: E402
from tests.benchmarks.bench_sid import some_items  # noqa: E402
from tests.benchmarks.bench_sid_cluster import write_codebook  # noqa: E402

GROUP, CODEBOOK, LONGEST_S = "bench", "cb-1", 600.0
READ_AGAIN_S = 0.01


def records(first: int, count: int) -> Iterator[tuple[str, bytes]]:
    """(item id, catalogue record) of items that all differ."""
    for number, content in enumerate(some_items(first + count)[first:], start=first):
        yield f"i{number}", json.dumps({"item_id": f"i{number}", "title": content.title, "attributes": content.attributes,
                                        "published_at": 1_767_225_600_000}).encode()


@contextmanager
def role(name: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "streaming", "run", "--role", name, "--metrics", "off"], cwd=ROOT,
                                   env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: Path(environment["GATESID_HOME"], "run", f"stream-{name}.ready").is_file(), f"{name} to be ready")
            yield
        finally:
            process.terminate()
            process.wait(30)


def wait_for(met: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LONGEST_S
    while not met():
        if time.monotonic() > end:
            raise SystemExit(f"waited {LONGEST_S:.0f} s in vain for {what}")
        time.sleep(0.05)


def latencies(online: OnlineFeatures, producer: Producer, rate: float, seconds: float) -> np.ndarray:
    """Milliseconds from each event's due moment to a read that has its SID."""
    events = list(records(0, int(rate * seconds)))
    began, found, pending, sent = time.monotonic(), [], {}, 0
    while len(found) < len(events):
        now = time.monotonic() - began
        while sent < len(events) and sent / rate <= now:
            item, record = events[sent]
            producer.send(TOPIC_CATALOG, item.encode(), record)
            pending[item] = sent / rate
            sent += 1
        if pending:
            items = list(pending)
            codes = online.read_items(items).codes
            read = time.monotonic() - began
            found += [read - pending.pop(item) for item, row in zip(items, codes, strict=True) if row[0] >= 0]
        if now > LONGEST_S:
            raise SystemExit(f"{len(pending):,} items had no SID after {LONGEST_S:.0f} s")
        time.sleep(READ_AGAIN_S)
    return 1_000 * np.array(found)


def differing(config: StreamConfig, layout: Layout, online: OnlineFeatures) -> tuple[int, int, int]:
    """(items that the nightly job gave a SID, those with another one in the stream, those with another one online)"""
    ids, nightly = published_sids(layout, CODEBOOK)
    items = ids.to_pylist()
    kept = PublishedSids(connect(config.valkey_url), GROUP, CODEBOOK).known(items)
    of_stream = np.stack([kept.get(item, np.full(4, -1, np.int32)) for item in items])
    readable = np.concatenate([online.read_items(items[n:n + 1_000]).codes for n in range(0, len(items), 1_000)])
    return len(items), *(int((codes != nightly).any(axis=1).sum()) for codes in (of_stream, readable))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--items", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        layout, few = Layout(home), int(given.rate * given.seconds)
        kafka = stack.enter_context(running_broker(Path(folder) / "broker"))
        valkey = stack.enter_context(running_valkey(Path(folder) / "valkey"))
        environment = os.environ | {"GATESID_HOME": str(home), "GATESID_KAFKA": kafka, "GATESID_VALKEY": valkey,
                                    "GATESID_STREAM__GROUP": GROUP}
        config = StreamConfig(home, kafka, f"redis://{valkey}", GROUP)
        online = OnlineFeatures(FeatureStoreConfig(home, valkey))
        online.apply()
        write_codebook(layout)
        write_json(layout.live_codebook_file, {"version": CODEBOOK})
        go_live(config, Broker(kafka))
        for name in ("catalog", "lake"):
            stack.enter_context(role(name, environment, Path(folder) / f"{name}.log"))
        producer = Producer(kafka)
        took = latencies(online, producer, given.rate, given.seconds)
        p50, p99, worst = np.quantile(took, [.5, .99, 1])
        print(f"{len(took):,} catalogue events at {given.rate:g} a second | SID readable after p50 {p50:.0f} ms, p99 {p99:.0f} "
              f"ms, max {worst:.0f} ms", flush=True)
        began, store = time.monotonic(), connect(config.valkey_url)
        for item, record in records(few, given.items):
            producer.send(TOPIC_CATALOG, item.encode(), record)
        producer.flush()
        total, key = few + given.items, PublishedSids(store, GROUP, CODEBOOK).key
        wait_for(lambda: store.hlen(key) == total, "the stream's SIDs")
        print(f"{given.items:,} at once | all have a SID {time.monotonic() - began:.1f} s after the first was sent", flush=True)
        wait_for(lambda: DeltaTable.is_deltatable(str(layout.table(TABLE_ITEMS)))
                 and DeltaTable(str(layout.table(TABLE_ITEMS))).count() == total, "the lake's items")
        tomorrow = from_ms(SystemClock().now_ms()).date() + timedelta(days=1)
        subprocess.run([sys.executable, "-m", "spark_jobs.sid_assignment", "--as-of", str(tomorrow), "--codebook", CODEBOOK],
                       cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        count, of_stream, readable = differing(config, layout, online)
        print(f"{count:,} of {total:,} items have a SID by the nightly job | {of_stream:,} have another one in the stream, "
              f"{readable:,} another one online")
    return int(count != total or of_stream + readable > 0)


if __name__ == "__main__":
    sys.exit(main())
