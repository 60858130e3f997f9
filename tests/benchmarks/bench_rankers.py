"""Rows a second of a training step and of scoring, per ranker and batch size, and the share of it spent on input.

    python tests/benchmarks/bench_rankers.py [--items 70000] [--steps 20]

Paper sizes: L = 50, SID width 32, item width 32 as in `practical`. Random rows; the ids are skewed as popularity is.
"""

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from features.names import CLICKED, ORDERED  # noqa: E402
from features.spec import CODEBOOK_SIZE, HISTORY_LENGTH, NUM_LEVELS  # noqa: E402
from model.checkpoints import fresh_ranker  # noqa: E402
from model.config import RANKERS, TrainConfig, preset  # noqa: E402
from model.dataset import Day, batches  # noqa: E402
from model.learner import Learner  # noqa: E402
from model.rankers.trunk import TableSizes  # noqa: E402

USERS = 5_000


def random_day(rng: np.random.Generator, rows: int, items: int) -> Day:
    def popular(shape):
        return (2 + (items - 3) * rng.random(shape) ** 3).astype(np.int32)

    features = {
        "user_row": rng.integers(2, USERS, rows).astype(np.int32), "hour_of_day": rng.integers(0, 24, rows).astype(np.int32),
        "day_of_week": rng.integers(0, 7, rows).astype(np.int32), "item_row": popular(rows),
        "repeat_count": rng.poisson(1, rows).astype(np.float32),
        "repeat_age_days": (40 * rng.random(rows) - 1).astype(np.float32),
        "item_stats": (300 * rng.random([rows, 3])).astype(np.float32), "history_rows": popular([rows, HISTORY_LENGTH])}
    clicked = (rng.random(rows) < 0.2).astype(np.int8)
    return Day("2026-01-01", features, clicked, clicked * 0, pa.table({}))


def measure(name: str, batch: int, items: int, steps: int) -> dict[str, object]:
    rng = np.random.default_rng(1)
    network, _ = preset(name, "practical")
    ranker = fresh_ranker(network, TableSizes(items, USERS), seed=1)
    training = TrainConfig(batch_size=batch, labels=(CLICKED,))
    learner = Learner(ranker, ranker.optimiser(training), training)
    day = random_day(rng, batch * steps, items)
    codes = rng.integers(0, CODEBOOK_SIZE, [items, NUM_LEVELS]).astype(np.int32)
    made = [{"features": features, CLICKED: day.clicked[rows].astype(np.float32), ORDERED: np.zeros(len(rows), np.float32),
             "order_weight": np.zeros(len(rows), np.float32)} for features, rows in batches(day, codes, batch, seed=1)]
    learner.steps(made[0]), learner.score(made[0]["features"])
    input_s = timed(lambda: list(batches(day, codes, batch, seed=2)))
    step_s = timed(lambda: [learner.steps(one) for one in made])
    score_s = timed(lambda: [learner.score(one["features"]) for one in made])
    return {"ranker": name, "batch": batch, "items": items, "train_rows_per_s": round(batch * steps / (step_s + input_s)),
            "step_ms": round(1000 * step_s / steps, 1), "input_share": round(input_s / (step_s + input_s), 3),
            "score_rows_per_s": round(batch * steps / score_s)}


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=70_000)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    for batch in (4096, 1024, 128):
        for name in RANKERS:
            print(json.dumps(measure(name, batch, given.items, given.steps * (8 if batch == 128 else 1))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
