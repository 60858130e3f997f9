"""Break everything on purpose, then compare every published row with Spark's rebuild and with a count of the raw topic.

    python -m streaming.failure_matrix                          every case, 500 events each, some minutes
    python -m streaming.failure_matrix --events 60000 --seed 7  other kill moments, more than a million events
    python -m streaming.failure_matrix --list                   the cases; --only TEXT runs those whose names contain it

Starts a broker, a store and consumers of its own in a scratch folder, which is deleted unless --keep. One stream lives through
all of it, a case a day; exit code 1 and samples if one row differs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.clock import SystemClock, day_start_ms, from_ms
from features.errors import EnvironmentFault, GatesidError
from features.names import TABLE_MATURITY_LOG, TABLE_MATURITY_REBUILT, TICK
from infra import valkey
from infra.broker import prepare_broker
from infra.ports import free_port
from infra.settings import CHECKOUT, load_settings
from streaming.failure_matrix.cases import CASES, Case
from streaming.failure_matrix.judge import Row, Truth, truth_of
from streaming.failure_matrix.world import Server, World
from streaming.kafka_io import Broker
from streaming.verify import COLUMNS, Verdict, compare, read_days, verify
from streaming.wiring import config_from, open_store

BATCH_RECORDS = 200  # small batches: many moments to die at
HOST = "127.0.0.1"


@dataclass
class Result:
    name: str
    saw: str  # what the case says of its own blow
    seconds: float
    day: date
    against_rebuild: Verdict | None = None
    against_topic: Verdict | None = None

    @property
    def differing(self) -> int:
        return sum(verdict.differing for verdict in (self.against_rebuild, self.against_topic) if verdict is not None)


def run(home: Path, cases: dict[str, Case], events: int, seed: int) -> tuple[list[Result], list[str]]:
    """Play the cases, a day each, the last of them today; then judge. The results by case, and what is wrong online."""
    world = make_world(home, seed, first_day=SystemClock().now().date() - timedelta(days=len(cases) - 1))
    try:
        results = [play(world, name, work, events) for name, work in cases.items()]
        world.wait(world.lake_caught_up, "the lake consumer catches up")
        ended = [world.end(consumer) for consumer in list(world.consumers.values())]
        if any(ended):
            raise EnvironmentFault(f"the consumers ended with exit codes {ended} after SIGTERM, expected 0")
        return results, judge(world, results)
    finally:
        world.close()


def make_world(home: Path, seed: int, first_day: date) -> World:
    kafka_address, valkey_address = (f"{HOST}:{free_port()}" for _ in range(2))
    os.environ |= {
        "GATESID_HOME": str(home), "GATESID_KAFKA": kafka_address, "GATESID_VALKEY": valkey_address,
        "GATESID_STREAM__BATCH_RECORDS": str(BATCH_RECORDS)}
    settings = load_settings()
    config = config_from(settings)

    def kafka_is_up() -> bool:
        try:
            broker = Broker(kafka_address)
        except EnvironmentFault:
            return False
        broker.close()
        return True

    kafka = Server(prepare_broker(home / "kafka", home, HOST, int(kafka_address.split(":")[1]), free_port(), 256),
                   home / "kafka", home / "run" / "kafka.log", kafka_is_up)
    store = Server(valkey.prepare_valkey(home / "valkey", HOST, int(valkey_address.split(":")[1])), home / "valkey",
                   home / "run" / "valkey.log", lambda: valkey.is_ready(valkey_address))
    online_features().apply()
    return World(config, kafka, store, lambda broker: open_store(config, broker), seed, day_start_ms(first_day))


def online_features() -> Any:
    from features.retrieval import OnlineFeatures, config_from

    return OnlineFeatures(config_from(load_settings()))


def play(world: World, name: str, work: Case, events: int) -> Result:
    began, day = time.monotonic(), from_ms(world.now_ms).date()
    world.start_missing()
    saw = work(world, world.day(events))
    world.close_day()
    world.start_missing()
    world.wait(world.caught_up, f"caught up after: {name}")
    result = Result(name, saw, time.monotonic() - began, day)
    print(f"{day}  {result.seconds:5.1f} s  {name}: {saw}", flush=True)
    return result


def judge(world: World, results: list[Result]) -> list[str]:
    """Give each case its verdicts; what is wrong in the online store."""
    first, as_of = results[0].day, from_ms(world.now_ms).date()
    rebuild(first, as_of)
    truth = truth_of(world.config, world.broker, world.now_ms)
    print(f"{truth.records:,} records, {truth.counted:,} events that count, {len(truth.rows):,} rows to publish", flush=True)
    log, expected = world.config.layout.table(TABLE_MATURITY_LOG), as_table(truth.rows)
    for result, following in zip(results, [*(r.day for r in results[1:]), as_of], strict=True):
        result.against_rebuild = verify(world.config, result.day, following)
        days = [(result.day + timedelta(days=n)).isoformat() for n in range((following - result.day).days)]
        result.against_topic = compare(read_days(log, days, "the stream"), between(expected, result.day, following))
    return online_faults(truth)


def rebuild(first: date, as_of: date) -> None:
    """Spark's, from the lake. Raises EnvironmentFault with the end of what it said."""
    command = [sys.executable, "-m", "spark_jobs.item_stats", "--from", str(first), "--as-of", str(as_of)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFault(f"{TABLE_MATURITY_REBUILT} was not rebuilt: {(done.stdout + done.stderr)[-2_000:]}")


def as_table(rows: set[Row]) -> pa.Table:
    """As the lake has them."""
    item, tick, exposure, click = zip(*rows, strict=True) if rows else ((), (), (), ())
    ticks = pa.array(tick, pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("us", tz="UTC"))
    counts = (pa.array(values, pa.int64()) for values in (exposure, click))
    return pa.table([pa.array(item, pa.string()), ticks, *counts], names=COLUMNS)


def between(rows: pa.Table, start: date, end: date) -> pa.Table:
    """The rows of the ticks in [start, end)."""
    first, last = (from_ms(day_start_ms(day)) for day in (start, end))
    return rows.filter((pc.field(TICK) >= first) & (pc.field(TICK) < last))


def online_faults(truth: Truth) -> list[str]:
    """Where a reader of the online store sees something else than the last row, or another history."""
    online = online_features()
    last: dict[str, Row] = {}
    for row in truth.rows:
        last[row[0]] = max(row, last.get(row[0], row), key=lambda r: r[1])
    items = sorted(last)
    found = online.read_items(items)
    seen = zip(items, found.maturity_tick_ms.tolist(), found.exposure_7d.tolist(), found.click_7d.tolist(), strict=True)
    wrong = [f"online {row}, published {last[row[0]]}" for row in seen if row != last[row[0]]]
    users = [user for user, taken in truth.histories.items() if online.read_user(user).item_ids.tolist() != taken]
    return wrong + [f"the history of user {user}" for user in users]


def show(results: list[Result], online: list[str]) -> int:
    """Print the verdicts; how many rows differ."""
    for result in results:
        mark = "ok  " if not result.differing else "FAIL"
        rows = result.against_rebuild.streamed if result.against_rebuild else 0
        print(f"{mark} {rows:9,} rows, {result.differing} differing: {result.name}")
        for verdict in (result.against_rebuild, result.against_topic):
            if verdict is not None and verdict.differing:
                print("\n".join(verdict.lines()))
    print("\n".join([f"online store: {len(online)} items and users differ from what was published", *online[:10]]))
    return sum(result.differing for result in results) + len(online)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streaming.failure_matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500, help="events a case (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="decides the events and the moments of the kills")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="cases named like TEXT; repeatable")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    parser.add_argument("--keep", action="store_true", help="leave the scratch folder, and print where it is")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    cases = {name: work for name, work in CASES.items() if not arguments.only or any(text in name for text in arguments.only)}
    if arguments.list:
        print("\n".join(cases))
        return 0
    scratch = CHECKOUT / "var" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="failure-matrix-", dir=scratch))
    try:
        return 1 if show(*run(home, cases, arguments.events, arguments.seed)) else 0
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    finally:
        if arguments.keep:
            print(home)
        else:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
