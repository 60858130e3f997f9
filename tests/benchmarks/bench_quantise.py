"""Vectors to codes in NumPy against faiss: 4 x 256 codes of width 64, and SMILE's 3 x 256 with two OPQ codes.

    python tests/benchmarks/bench_quantise.py [--rows 65536] [--rounds 9]

One thread each, as a Spark task has; taken in turns; medians. faiss does the same greedy search: an IndexFlatL2 a level.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import faiss  # noqa: E402
import numpy as np  # noqa: E402

from features.sid import Opq, encode  # noqa: E402

WIDTH, SIZE = 64, 256


def faiss_rq(x: np.ndarray, codebooks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, codes = x.copy(), []
    for codebook in codebooks:
        index = faiss.IndexFlatL2(WIDTH)
        index.add(codebook)
        codes.append(index.search(left, 1)[1][:, 0])
        left -= codebook[codes[-1]]
    return np.stack(codes, axis=1), left


def faiss_opq(opq: Opq) -> Callable[[np.ndarray], np.ndarray]:
    rotation, quantiser = faiss.OPQMatrix(WIDTH, 2), faiss.ProductQuantizer(WIDTH, 2, 8)
    faiss.copy_array_to_vector(np.ascontiguousarray(opq.rotation.T).ravel(), rotation.A)
    rotation.is_trained = True
    faiss.copy_array_to_vector(opq.codebooks.ravel(), quantiser.centroids)
    return lambda x: quantiser.compute_codes(rotation.apply(x))


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Seconds of each, taken in turns."""
    spent = np.empty((rounds, len(works)))
    for turn in spent:
        for n, work in enumerate(works):
            began = time.perf_counter()
            work()
            turn[n] = time.perf_counter() - began
    return np.median(spent, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    scale = np.array([1, 0.8, 0.6, 0.5])[:, None, None]
    codebooks = (scale * rng.normal(size=(4, SIZE, WIDTH))).astype(np.float32)
    rotation = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    opq = Opq(rotation, rng.normal(0, 0.5, (2, SIZE, WIDTH // 2)).astype(np.float32))
    product = faiss_opq(opq)
    for rows in (1, 100, given.rows):
        x = rng.normal(size=(rows, WIDTH)).astype(np.float32)

        def smile(x=x):
            found = encode(x, codebooks[:3])
            return np.concatenate([found.codes, opq.encode(found.left_over).codes], axis=1)

        def faiss_smile(x=x):
            codes, left = faiss_rq(x, codebooks[:3])
            return np.concatenate([codes, product(left)], axis=1)

        assert (encode(x, codebooks).codes == faiss_rq(x, codebooks)[0]).all(axis=1).mean() > 0.999
        assert (smile() == faiss_smile()).all(axis=1).mean() > 0.999
        theirs, ours, their_smile, our_smile = medians(
            given.rounds, lambda x=x: faiss_rq(x, codebooks), lambda x=x: encode(x, codebooks), faiss_smile, smile)
        print(f"{rows:>6} rows | RQ {rows / ours:>9,.0f}/s, {ours * 1e3:.2f} ms, {theirs / ours:.2f} x faiss"
              f" | RQ-OPQ {rows / our_smile:>9,.0f}/s, {our_smile * 1e3:.2f} ms, {their_smile / our_smile:.2f} x faiss")


if __name__ == "__main__":
    main()
