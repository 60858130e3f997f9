"""How long content takes to become a SID in NumPy: one item, a micro-batch, a catalogue.

    python tests/benchmarks/bench_sid.py [--items 20000] [--codebook var/codebooks/cb-2026-11-22]

Without --codebook the weights are random at the real sizes, which costs what trained ones cost. All items are different:
a real catalogue with shared texts is faster, since equal contents are encoded once.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from features.catalogue import ItemContent  # noqa: E402
from features.content import content_keys, learn_schema  # noqa: E402
from features.encoder import ContentEncoder, Quantiser  # noqa: E402
from features.fusion import FusionConfig, weight_shapes  # noqa: E402
from features.text_vectors import text_vectors  # noqa: E402

WORDS = ("rolled", "oats", "green", "tea", "dark", "roast", "coffee", "apple", "juice", "whole", "milk", "rye", "bread", "soap")
SHAPES = {"input_mean": (64,), "input_scale": (64,), "in_kernel": (64, 128), "in_bias": (128,), "out_kernel": (128, 64),
          "out_bias": (64,)}


def some_items(count: int) -> list[ItemContent]:
    rng = np.random.default_rng(0)
    return [ItemContent(" ".join(rng.choice(WORDS, 4)) + f" {n} g", {
        "department": str(rng.choice(WORDS)), "category": " ".join(rng.choice(WORDS, 2)), "brand": f"brand {n % 50}",
        "size": f"{n % 900} g", "maker": str(n % 3_000)}) for n in range(count)]


def random_encoder(items: list[ItemContent]) -> ContentEncoder:
    rng, schema, config = np.random.default_rng(1), learn_schema(items), FusionConfig()

    def arrays(shapes):
        return {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}

    codebooks = rng.normal(size=(4, 256, 64)).astype(np.float32)
    return ContentEncoder("random", "random", schema, config, arrays(weight_shapes(config, schema)),
                          Quantiser(arrays(SHAPES), codebooks))


def seconds(work, repeats: int = 1) -> np.ndarray:
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return np.array(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--codebook", type=Path)
    given = parser.parse_args()
    items = some_items(given.items)
    encoder = ContentEncoder.load(given.codebook) if given.codebook else random_encoder(items)
    encoder.codes(items[:1])
    for size in (1, 10, 100):
        ms = seconds(lambda size=size: encoder.codes(items[:size]), 200 if size < 100 else 50) * 1e3
        print(f"{size:>6} items | p50 {np.median(ms):.2f} ms | p99 {np.quantile(ms, 0.99):.2f} ms")
    whole = seconds(lambda: encoder.codes(items))[0]
    print(f"{len(items):>6} items | {whole:.2f} s | {len(items) / whole:,.0f} items/s")
    keys = seconds(lambda: content_keys(items, encoder.schema))[0]
    text = seconds(lambda: text_vectors([item.title for item in items]))[0]
    print(f"         of which cleaning {keys:.2f} s, title vectors {text:.2f} s")


if __name__ == "__main__":
    main()
