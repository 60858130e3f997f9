"""The live session of the demo: a product that did not exist a minute ago, over the product's own public doors.

Nothing here reaches into the system: events go to Kafka through `python -m streaming send`, everything seen comes back from the
ranking API. Latencies are therefore what a client would see.
"""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.artefacts import read_manifest, write_json
from features.clock import SystemClock
from features.errors import EnvironmentFault
from infra.rank_call import post
from infra.settings import CHECKOUT, Settings

CANDIDATES = 100
RANK_CALLS = 200
CLICK_WAVES = (2, 10, 40)
IMPRESSIONS_PER_CLICK = 4
CONSTRUCTED = ("That clicks lower the score is the data's doing: with constructed impressions, a day's responses leave fewer "
               "for the rest of it (infra/datasets/README.md)")


@dataclass
class Live:
    """What was measured, for the report."""

    item: dict[str, Any]
    user_id: str
    candidates: list[str]
    seconds_to_sid: float = 0.0
    steps: list[dict[str, Any]] = field(default_factory=list)
    rank_ms: dict[str, float] = field(default_factory=dict)
    note: str = ""


class Sender:
    """One open `python -m streaming send`: a JSON record a line in, an acknowledgement a line out."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "streaming", "send"], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, records: list[dict[str, Any]]) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        for record in records:
            self.child.stdin.write(json.dumps(record) + "\n")
        self.child.stdin.flush()
        for _ in records:
            if not self.child.stdout.readline():
                raise EnvironmentFault("`python -m streaming send` ended early: is the broker up? See `gatesid status`")

    def close(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait(timeout=10)


def main(settings: Settings) -> None:
    user_id, model_item, others = choose(settings)
    clock = SystemClock()
    born = clock.now_ms()
    item = {
        "item_id": f"new-{born}", "title": f"{model_item['title']} (new)", "published_at": born,
        "attributes": json.loads(model_item["attributes"] or "{}"),
    }
    candidates = [*others, item["item_id"]]
    live = Live(item, user_id, candidates)
    sender = Sender()
    try:
        print(f"        user {user_id} often takes “{model_item['title']}”; {len(others)} other candidates sold this week")
        show(live, "before it exists", find(post(settings, user_id, candidates), item["item_id"]))
        sender.send([item])
        began = time.monotonic()
        reply = wait_for(settings, live, candidates, lambda row: row["sid"] is not None and min(row["sid"]) >= 0, "its SID")
        live.seconds_to_sid = time.monotonic() - began
        show(live, f"born; SID after {live.seconds_to_sid:.2f} s", reply)
        for wave, clicks in enumerate(CLICK_WAVES):
            exposed = IMPRESSIONS_PER_CLICK * clicks
            now = clock.now_ms()
            sender.send([event(item["item_id"], "impression", f"{wave}-{n}", now) for n in range(exposed)]
                        + [event(item["item_id"], "click", f"{wave}-{n}", now) for n in range(clicks)])
            target = sum(CLICK_WAVES[: wave + 1])
            began = time.monotonic()
            row = wait_for(settings, live, candidates, lambda row, target=target: row["click_7d"] >= target, f"{target} clicks")
            seconds = time.monotonic() - began
            show(live, f"+{clicks} clicks; readable after {seconds:.1f} s", row, seconds)
        live.rank_ms = time_calls(settings, user_id, candidates[:CANDIDATES])
    finally:
        sender.close()
    p50, p99 = live.rank_ms["p50"], live.rank_ms["p99"]
    print(f"        rank of {CANDIDATES} candidates over HTTP: p50 {p50:.1f} ms, p99 {p99:.1f} ms ({RANK_CALLS} calls)")
    if read_manifest(settings.layout.dataset(settings.data.dataset), kind="dataset").get("negatives"):
        live.note = CONSTRUCTED
        print(f"        {live.note}")
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "live.json", vars(live))


def choose(settings: Settings) -> tuple[str, dict[str, Any], list[str]]:
    """The item most users took in the data set's last week, its most frequent taker, and other items sold in that week."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = settings.layout.dataset(settings.data.dataset)
    days = sorted((folder / "events").glob("*.parquet"))[-7:]
    clicks = pq.read_table(days, columns=["event_type", "user_id", "item_id"]).filter(pc.field("event_type") == "click")
    pairs = clicks.group_by(["user_id", "item_id"]).aggregate([("event_type", "count")])
    items = read_items(folder / "items.parquet")
    takers = sorted(pc.value_counts(pairs["item_id"]).to_pylist(), key=lambda row: (-row["counts"], row["values"]))
    favourite = next(row["values"] for row in takers if items[row["values"]]["title"])
    takes = pairs.filter(pc.field("item_id") == favourite)
    user_id = takes.sort_by([("event_type_count", "descending"), ("user_id", "ascending")])["user_id"][0].as_py()
    sold = pc.value_counts(clicks["item_id"]).to_pylist()
    sold = [row["values"] for row in sorted(sold, key=lambda row: (-row["counts"], row["values"]))]
    stride = max(1, len(sold) // (CANDIDATES - 1))
    return user_id, items[favourite], sold[::stride][: CANDIDATES - 1]


def read_items(path: Path) -> dict[str, dict[str, Any]]:
    import pyarrow.parquet as pq

    return {row["item_id"]: row for row in pq.read_table(path, columns=["item_id", "title", "attributes"]).to_pylist()}


def event(item_id: str, kind: str, number: str, at_ms: int) -> dict[str, Any]:
    return {"event_id": f"live-{item_id}-{kind}-{number}", "event_type": kind, "user_id": f"live-user-{number}",
            "item_id": item_id, "event_time": at_ms, "request_id": f"live-{number}"}


def find(reply: dict[str, Any], item_id: str) -> dict[str, Any]:
    """The item's row of a ranking reply, with its place."""
    place = next(n for n, row in enumerate(reply["items"], 1) if row["item_id"] == item_id)
    return {**reply["items"][place - 1], "place": place, "of": len(reply["items"])}


def wait_for(settings: Settings, live: Live, candidates: list[str], met: Any, what: str, limit_s: float = 60) -> dict[str, Any]:
    """Poll the ranking API until the new item's row meets a condition. Raises EnvironmentFault after `limit_s`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        row = find(post(settings, live.user_id, candidates), live.item["item_id"])
        if met(row):
            return row
        time.sleep(0.05)
    raise EnvironmentFault(
        f"{what} of {live.item['item_id']} was not readable within {limit_s:.0f} s; see the stream's logs (`gatesid status`)")


def show(live: Live, moment: str, row: dict[str, Any], seconds: float | None = None) -> None:
    gate = "–" if row.get("semantic_weight") is None else f"{row['semantic_weight']:.3f}"
    sid = "–" if not row["sid"] or min(row["sid"]) < 0 else "-".join(map(str, row["sid"]))
    print(f"        {moment:32s} | sid {sid:15s} | 7 d: {row['exposure_7d']:4d} seen {row['click_7d']:3d} taken"
          f" | gate {gate} | score {row['score']:.4f} | place {row['place']} of {row['of']}", flush=True)
    live.steps.append({"moment": moment, "seconds": seconds, **row})


def time_calls(settings: Settings, user_id: str, candidates: list[str]) -> dict[str, float]:
    times = []
    for _ in range(RANK_CALLS):
        began = time.perf_counter()
        post(settings, user_id, candidates)
        times.append((time.perf_counter() - began) * 1_000)
    cuts = statistics.quantiles(times, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "calls": RANK_CALLS, "candidates": len(candidates)}
