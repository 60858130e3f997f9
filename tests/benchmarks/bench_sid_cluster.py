"""The nightly SIDs of a large catalogue on a standalone Spark cluster: items a second and core.

    python tests/benchmarks/bench_sid_cluster.py [--items 10000000] [--workers 2] [--worker-memory 2g] [--home DIR]

Master and workers (one core each) are started here; the job is spark_jobs/sid_assignment.py by spark-submit, as in a cluster.
Every item is different: a real catalogue with shared texts is faster. Weights are random at the real sizes.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
from deltalake import DeltaTable, write_deltalake  # noqa: E402

from features.artefacts import new_artefact  # noqa: E402
from features.content import schema_to_json  # noqa: E402
from features.layout import Layout  # noqa: E402
from features.text_vectors import TEXT_MODEL  # noqa: E402
from infra.jars import delta_jars  # noqa: E402
from infra.settings import load_settings  # noqa: E402
from tests.benchmarks.bench_sid import WORDS, random_encoder, some_items  # noqa: E402
from tests.spark_jobs.standalone_cluster import standalone_cluster, submit  # noqa: E402

CHUNK = 500_000
BILLION, NIGHT_S = 1_000_000_000, 8 * 3600


def write_items(layout: Layout, count: int) -> None:
    """Titles of four words and a number, five attributes, as in bench_sid.py."""
    rng = np.random.default_rng(0)
    for start in range(0, count, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, count))
        known = pa.array(np.zeros(len(numbers), np.int64)).cast(pa.timestamp("us", "UTC"))
        words = [pa.array(WORDS).take(pa.array(rng.integers(0, len(WORDS), len(numbers)))) for _ in range(6)]
        texts = [pa.array(numbers % size).cast(pa.string()) for size in (50, 900, 3_000)]
        attributes = pc.binary_join_element_wise(
            '{"brand": "brand ', texts[0], '", "category": "', words[4], '", "department": "', words[5], '", "maker": "',
            texts[2], '", "size": "', texts[1], ' g"}', "")
        write_deltalake(str(layout.table("items")), pa.table({
            "item_id": pc.binary_join_element_wise("i", pa.array(numbers).cast(pa.string()), ""),
            "title": pc.binary_join_element_wise(*words[:4], pa.array(numbers).cast(pa.string()), "g", " "),
            "attributes": attributes, "published_at": known, "vector": pa.nulls(len(numbers), pa.list_(pa.float32())),
            "ingest_time": known, "source": pa.array(["history"] * len(numbers)),
            "partition": pa.array(np.full(len(numbers), -1), pa.int32()), "offset": pa.array(numbers)}), mode="append")


def write_codebook(layout: Layout) -> None:
    encoder = random_encoder(some_items(20_000))
    with new_artefact(layout.codebook("cb-1"), kind="codebook", encoder="enc-1") as draft:
        (draft.path / "encoder.json").write_text(json.dumps({
            "text_model": TEXT_MODEL, "fusion": encoder.config.__dict__, "schema": schema_to_json(encoder.schema)}))
        arrays = {f"encoder.{name}": array for name, array in encoder.weights.items()}
        arrays |= {f"rqvae.{name}": array for name, array in encoder.quantiser.weights.items()}
        for name, array in (arrays | {"codebooks": encoder.quantiser.codebooks}).items():
            np.save(draft.path / f"{name}.npy", array)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker-memory", default="2g")
    parser.add_argument("--home", type=Path, help="where the lake is written (default: a temporary folder)")
    given = parser.parse_args()
    jars = delta_jars(load_settings().home)
    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        layout = Layout(Path(folder) / "home")
        write_items(layout, given.items)
        write_codebook(layout)
        with standalone_cluster(Path(folder), given.workers, given.worker_memory) as master:
            began = time.monotonic()
            submit(master, Path(folder), layout.home, jars, "sid_assignment", "--as-of", "1970-01-02", "--codebook", "cb-1",
                   memory=given.worker_memory)
            spent = time.monotonic() - began
        rows = DeltaTable(str(layout.table("semantic_ids"))).count()
    rate = rows / spent / given.workers
    print(f"{rows:,} of {given.items:,} items have a SID | {spent:.0f} s from submission to commit on {given.workers} cores | "
          f"{rate:,.0f} items/s a core | on paper, a billion in a night of 8 h: {BILLION / NIGHT_S / rate:.0f} cores")


if __name__ == "__main__":
    main()
