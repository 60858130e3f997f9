"""A training step of every ranker against Base's, the share of it spent on input, and what a large id table costs.

    python tests/benchmarks/bench_rankers.py [--rankers base,gatesid] [--batches 4096,1024,128] [--rounds 5]

Batches of 4096 and 1024 at the papers' sizes: L = 50, item width 128, SID width 32; 128 at `practical`'s. Alignment needs SIDs
as wide as ids (R8), so the rankers that align have 128 for both, and `gatesid_without_alignment` is GateSID at 128 and 32.
Rankers with content have vectors of 128. The last three lines are Base, at width 32 for memory's sake, on a table of 100
thousand items; of 10 million, 100 thousand of which have traffic, strewn over the table; and of 10 million, all with traffic,
where a batch reads and updates more different rows (`rows_touched`).

Random rows, ids skewed as popularity is. Rankers take turns, each learning a day in one pass by `Learner.learn`. Figures are
medians over rounds of CPU seconds on one thread, ratios those within a round: other work on the machine changes them little.
"""

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.update({"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"})
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from features.names import CLICKED  # noqa: E402
from features.spec import CODEBOOK_SIZE, HISTORY_LENGTH, NUM_LEVELS  # noqa: E402
from model.checkpoints import fresh_ranker  # noqa: E402
from model.config import ALL_RANKERS, BASE, ContentConfig, RankerConfig, TrainConfig, preset  # noqa: E402
from model.dataset import Day, batches  # noqa: E402
from model.learner import Learner  # noqa: E402
from model.opq_codes import reads_opq  # noqa: E402
from model.rankers.smile import OPQ_PARTS  # noqa: E402
from model.rankers.trunk import TableSizes  # noqa: E402

USERS, ITEMS, MANY_ITEMS = 5_000, 100_000, 10_000_000
PRACTICAL_BATCH = 128
ALIGNED = ("gatesid", "static_average", "gatesid_gate_of_item", "gatesid_gate_of_stats", "gatesid_without_fused_attention")


@dataclass
class Case:
    """One ranker in its turn, and the day it learns from."""

    name: str
    batch: int
    learner: Learner
    day: Day
    codes: NDArray[np.int32]

    def learn(self) -> float:
        """CPU seconds of one pass."""
        began = time.process_time()
        self.learner.learn(self.day, self.codes, seed=1)
        return time.process_time() - began

    def read(self) -> float:
        """CPU seconds of the pass's input alone."""
        rows = self.batch * max(1, self.learner.rows_a_call // self.batch)
        began = time.process_time()
        for _ in batches(self.day, self.codes, rows, seed=1):
            pass
        return time.process_time() - began


def sizes(name: str, batch: int) -> RankerConfig:
    if batch == PRACTICAL_BATCH:
        return preset(name, "practical")[0]
    network = preset(name, "paper")[0]
    widths = {"item_width": 128, "sid_width": 128 if name in ALIGNED else 32}
    return replace(network, **widths | ({"content_width": 128} if isinstance(network, ContentConfig) else {}))


def case(network: RankerConfig, batch: int, rows: int, items: int, active: int) -> Case:
    rng = np.random.default_rng(1)
    ranker = fresh_ranker(network, TableSizes(items, USERS), seed=1)
    training = TrainConfig(batch_size=batch, labels=(CLICKED,), compiled=True)
    levels = NUM_LEVELS + (OPQ_PARTS if reads_opq(network.ranker) else 0)
    codes = rng.integers(0, CODEBOOK_SIZE, [items, levels], np.int32)
    learner = Learner(ranker, ranker.optimiser(training), training)
    return Case(network.ranker, batch, learner, random_day(rng, rows, items, active), codes)


def random_day(rng: np.random.Generator, rows: int, items: int, active: int) -> Day:
    """`active` of the `items` have traffic, evenly strewn over the rows."""
    def popular(shape):
        return (2 + ((active - 3) * rng.random(shape) ** 3).astype(np.int32) * (items // active)).astype(np.int32)

    features = {
        "user_row": rng.integers(2, USERS, rows).astype(np.int32), "hour_of_day": rng.integers(0, 24, rows).astype(np.int32),
        "day_of_week": rng.integers(0, 7, rows).astype(np.int32), "item_row": popular(rows),
        "repeat_count": rng.poisson(1, rows).astype(np.float32),
        "repeat_age_days": (40 * rng.random(rows) - 1).astype(np.float32),
        "item_stats": (300 * rng.random([rows, 3])).astype(np.float32), "history_rows": popular([rows, HISTORY_LENGTH])}
    clicked = (rng.random(rows) < 0.2).astype(np.int8)
    return Day("2026-01-01", features, clicked, clicked * 0, pa.table({}))


def compare(cases: list[Case], rounds: int) -> list[dict[str, object]]:
    """One line a case; ratios to the first."""
    for one in cases:
        one.learn()  # traced, and its memory touched
    passes = [[(one.learn(), one.read()) for one in cases] for _ in range(rounds)]
    lines = []
    for n, one in enumerate(cases):
        seconds = statistics.median(turn[n][0] for turn in passes)
        lines.append({
            "ranker": one.name, "batch": one.batch, "items": one.learner.ranker.sizes.items,
            "item_width": one.learner.ranker.config.item_width, "sid_width": one.learner.ranker.config.sid_width,
            "rows_touched": round(touched(one.day, one.batch)),
            "rows_per_s": round(len(one.day) / seconds), "step_ms": round(1000 * seconds * one.batch / len(one.day), 1),
            "ratio": round(statistics.median(turn[n][0] / turn[0][0] for turn in passes), 2),
            "input_share": round(statistics.median(turn[n][1] / turn[n][0] for turn in passes), 3)})
        print(json.dumps(lines[-1]), flush=True)
    return lines


def touched(day: Day, batch: int) -> float:
    """Different rows of the item table in a batch, on average."""
    read = np.c_[day.features["item_row"], day.features["history_rows"]]
    return statistics.mean(len(np.unique(read[at:at + batch])) for at in range(0, len(day), batch))


def main() -> int:
    def names(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rankers", type=names, default=list(ALL_RANKERS), help="beside Base, to which ratios are taken")
    parser.add_argument("--batches", type=names, default=["4096", "1024", "128"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=16_384, help="of a pass")
    given = parser.parse_args()
    rankers = [BASE, *(name for name in given.rankers if name != BASE)]
    lines = []
    for batch in map(int, given.batches):
        lines += compare([case(sizes(name, batch), batch, given.rows, ITEMS, ITEMS) for name in rankers], given.rounds)
    base = preset(BASE, "paper")[0]
    tables = ((ITEMS, ITEMS), (MANY_ITEMS, ITEMS), (MANY_ITEMS, MANY_ITEMS))
    lines += compare([case(base, 4096, given.rows, *table) for table in tables], given.rounds)
    print("\n" + " ".join(f"{name:>16}" for name in lines[0]))
    for line in lines:
        print(" ".join(f"{str(value)[:32]:>16}" for value in line.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
