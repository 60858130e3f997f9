"""RQ-OPQ: residual k-means, and an optimised product quantiser of what three levels leave over (SMILE section 2.2; R18).

SMILE's SID is (rq1, rq2, rq3, opq1, opq2). A SID of the lake and of the rankers' inputs has four RQ codes, so a fourth
level of k-means is fitted as well: SMILE reads the first three, every other ranker all four. The OPQ codes are in no SID:
whoever needs them has them from `Quantiser.opq_codes` of the published vectors.
"""

from dataclasses import dataclass

import faiss
import numpy as np

from features.encoder import Quantiser
from features.errors import ArtefactError, ConfigError, DataError
from features.sid import Opq, quantise
from features.spec import CODEBOOK_SIZE, NUM_LEVELS
from model.codebook_warm_start import moved_codebooks
from model.nearest_codes import nearest
from model.rqvae_training import kmeans

# A sub-codebook of 256 codes is fitted to this many contents at most, as faiss does by default.
MOST_POINTS = 65_536


@dataclass(frozen=True)
class RqOpqConfig:
    """Raises ConfigError: every fault, listed."""

    levels: int = NUM_LEVELS
    codes: int = CODEBOOK_SIZE  # a level; not printed
    opq_after: int = 3  # levels before the OPQ; SMILE: 3
    opq_parts: int = 2  # SMILE: 2
    opq_codes: int = CODEBOOK_SIZE  # a part; not printed
    kmeans_iterations: int = 20
    rotation_iterations: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        positive = ("levels", "codes", "opq_after", "opq_parts", "opq_codes", "kmeans_iterations", "rotation_iterations")
        faults = [f"{name} must be positive, got {getattr(self, name)}" for name in positive if getattr(self, name) <= 0]
        if self.seed < 0:
            faults.append(f"seed must not be negative, got {self.seed}")
        if self.opq_after > self.levels:
            faults.append(f"opq_after must not exceed the {self.levels} levels, got {self.opq_after}")
        if faults:
            raise ConfigError("; ".join(faults))


class RqOpq:
    """A fitted quantiser, judged and exported as an RqVae is."""

    def __init__(self, codebooks: np.ndarray, opq: Opq) -> None:
        self.codebooks, self.opq = codebooks, opq

    def quantiser(self) -> Quantiser:
        """In the RQ-VAE's form, so that every reader of a codebook reads this one: Enc is relu(x) - relu(-x) = x."""
        width = self.codebooks.shape[2]
        eye, zeros = np.eye(width, dtype=np.float32), np.zeros(width, np.float32)
        weights = {"input_mean": zeros, "input_scale": zeros + 1, "in_kernel": np.concatenate([eye, -eye], axis=1),
                   "in_bias": np.zeros(2 * width, np.float32), "out_kernel": np.concatenate([eye, -eye]), "out_bias": zeros}
        return Quantiser(weights, self.codebooks, self.opq)

    def rename(self, places: np.ndarray) -> None:
        """Give each code of a level another number: code k becomes what `places[level, k]` was. OPQ codes keep theirs."""
        self.codebooks = np.stack([book[place] for book, place in zip(self.codebooks, places, strict=True)])

    def reconstruct(self, vectors: np.ndarray) -> np.ndarray:
        """float32[n, D]: the sum of the RQ codes' vectors."""
        return quantise(vectors, self.codebooks).quantised

    def reconstruct_fine(self, vectors: np.ndarray) -> np.ndarray:
        """float32[n, D]: what SMILE's five codes say of a vector."""
        found = quantise(vectors, self.codebooks[:self.opq.after])
        return found.quantised + self.opq.encode(found.residuals[:, self.opq.after]).reconstructed


def train_rq_opq(vectors: np.ndarray, config: RqOpqConfig) -> RqOpq:
    """Codes for float32[n, D] content vectors. Raises DataError: no content, a vector that is not finite, or a width that
    the parts do not divide."""
    if not len(vectors) or not np.isfinite(vectors).all():
        raise DataError(f"expected finite vectors of at least one content, got {vectors.shape}: train the encoder again")
    if vectors.shape[1] % config.opq_parts:
        raise DataError(f"{config.opq_parts} OPQ parts do not divide vectors of width {vectors.shape[1]}: "
                        "train an encoder of another width")
    residual, codebooks, left = vectors, [], vectors
    for level in range(config.levels):
        codebook = kmeans(residual, None, config.codes, config.kmeans_iterations, config.seed + level)
        residual = residual - codebook[nearest(residual, codebook)]
        codebooks.append(codebook)
        print(f"rq_opq level {level + 1}/{config.levels} | left over {np.square(residual).sum(axis=1).mean():.4f}", flush=True)
        if level + 1 == config.opq_after:
            left = residual
    rotation = fit_rotation(left, config)
    parts = np.split(left @ rotation, config.opq_parts, axis=1)
    books = [kmeans(np.ascontiguousarray(part), None, config.opq_codes, config.kmeans_iterations, config.seed + number)
             for number, part in enumerate(parts)]
    return RqOpq(np.stack(codebooks), Opq(rotation, np.stack(books), config.opq_after))


def go_on(vectors: np.ndarray, start: Quantiser) -> RqOpq:
    """`start`, whose residual codes follow the vectors; its OPQ codes stay. Raises ArtefactError: it has none."""
    if start.opq is None:
        raise ArtefactError("the codebook to start from has no OPQ codes: start from one of --preset smile")
    return RqOpq(moved_codebooks(start.codebooks, start.latents(vectors)), start.opq)


def fit_rotation(residual: np.ndarray, config: RqOpqConfig) -> np.ndarray:
    """float32[D, D], orthonormal, by faiss; the identity where there are not two different residuals to tell apart."""
    width = residual.shape[1]
    distinct = len(np.unique(residual, axis=0))
    bits = min((config.opq_codes - 1).bit_length(), distinct.bit_length() - 1)
    if bits < 1:
        return np.eye(width, dtype=np.float32)
    rows = np.random.default_rng(config.seed).permutation(len(residual))[:MOST_POINTS]
    search = faiss.OPQMatrix(width, config.opq_parts)
    search.pq = faiss.ProductQuantizer(width, config.opq_parts, bits)
    search.niter, search.verbose = config.rotation_iterations, False
    search.train(np.ascontiguousarray(residual[rows]))
    fitted = faiss.vector_to_array(search.A).reshape(width, width).T.astype(np.float64)
    left, _, right = np.linalg.svd(fitted)  # the nearest matrix that is orthonormal to the last bit
    return np.ascontiguousarray(left @ right, np.float32)
