"""Semantic IDs: the type, and the NumPy residual quantiser that defines them (the reference of every other one).

A SID is one code per level. Level n quantises what the levels before it left over (SaviorRec Eq. 4; GateSID Eq. 1):

    residual_0 = x;  code_n = argmin_k |residual_n - codebooks[n, k]|^2;  residual_{n+1} = residual_n - codebooks[n, code_n]

Codes are 0-based; ties go to the lowest code; -1 means "no code" and decodes to the zero vector at its level.

SMILE's further codes are a product quantiser's (OPQ) of what the first levels leave over (section 2.2; reading R18).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.spec import CODEBOOK_SIZE, MISSING_CODE, NUM_LEVELS

Floats = NDArray[np.floating]
# Rows whose distances are held at once: by product, 1024 x 256 codes is 1 MB of float32; by differences, 64 x 256 codes x
# 64 wide is 4 MB.
ROWS_AT_ONCE, EXACT_ROWS_AT_ONCE = 1024, 64
ORTHONORMAL_WITHIN = 1e-4


@dataclass(frozen=True, slots=True)
class SemanticId:
    """The SID of one item in one codebook version. Raises ValueError: not four codes, all of them or none of them -1."""

    codes: tuple[int, ...]
    codebook_version: str

    def __post_init__(self) -> None:
        in_range = all(type(code) is int and 0 <= code < CODEBOOK_SIZE for code in self.codes)
        if len(self.codes) != NUM_LEVELS or not (in_range or self.is_missing):
            raise ValueError(f"a SID is {NUM_LEVELS} integers in [0, {CODEBOOK_SIZE}), or all {MISSING_CODE} for no content; "
                             f"got {self.codes!r} in {self.codebook_version}: encode the item again")

    @property
    def is_missing(self) -> bool:
        """The item has no content: it gets the cold default."""
        return set(self.codes) == {MISSING_CODE}

    def __str__(self) -> str:
        return "-" if self.is_missing else ".".join(map(str, self.codes))


class Quantised(NamedTuple):
    codes: NDArray[np.int32]  # [B, N]
    quantised: Floats  # [B, D]: the sum of the chosen vectors
    residuals: Floats  # [B, N + 1, D]: residuals[:, 0] is x, residuals[:, N] what no level explains


def quantise(x: Floats, codebooks: Floats) -> Quantised:
    """The codes of `x` (SaviorRec Eq. 4), the same for a row whatever other rows come with it.

    Distances are summed squared differences, not the cheaper |x|^2 - 2xc + |c|^2 (`nearest_codes`): ties stay exact, and
    no result depends on how a matrix product is blocked.

    Args:
      x: float[B, D].
      codebooks: float[N, K, D], N levels of K codes.
    Raises:
      ValueError: other shapes, or a value that is not finite.
    """
    check_codebooks(codebooks)
    if x.ndim != 2 or x.shape[1] != codebooks.shape[2]:
        raise ValueError(f"expected x as [B, {codebooks.shape[2]}] for codebooks {codebooks.shape}, got {x.shape}")
    if not np.isfinite(x).all():
        rows = np.flatnonzero(~np.isfinite(x).all(axis=1))[:5].tolist()
        raise ValueError(f"x must be finite; rows {rows} hold NaN or infinity: drop them before quantising")
    levels = len(codebooks)
    codes = np.empty((len(x), levels), np.int32)
    residuals = np.empty((len(x), levels + 1, x.shape[1]), np.result_type(x, codebooks))
    residuals[:, 0] = x
    for level, codebook in enumerate(codebooks):
        codes[:, level] = nearest_codes(residuals[:, level], codebook)
        residuals[:, level + 1] = residuals[:, level] - codebook[codes[:, level]]
    return Quantised(codes, decode(codes, codebooks), residuals)


def nearest_codes(x: Floats, codebook: Floats) -> NDArray[np.int32]:
    """int32[B]: argmin_k of the summed squared differences, for x [B, D] and a codebook [K, D].

    |c|^2 - 2xc says which code it must be, unless another is nearer to it than both roundings together can be wrong;
    those few rows are decided by the differences themselves. So the result is that of the differences, always.
    """
    codes = np.empty(len(x), np.int32)
    lengths = np.square(codebook).sum(axis=1)
    # A sum of D products is wrong by at most D eps / 2 of its terms' magnitudes: 4 D eps bounds it all, twice that is used.
    wrong_by = 8 * x.shape[1] * np.finfo(np.result_type(x, codebook)).eps
    for start in range(0, len(x), ROWS_AT_ONCE):
        some = np.ascontiguousarray(x[start:start + ROWS_AT_ONCE])
        cheap = lengths - 2 * (some @ codebook.T)
        margin = wrong_by * (np.square(some).sum(axis=1) + lengths.max())
        possible = ~(cheap > (cheap.min(axis=1) + margin)[:, None])  # NaN of an overflow: possible
        found = cheap.argmin(axis=1)
        unsure = np.flatnonzero(possible.sum(axis=1) != 1)
        for first in range(0, len(unsure), EXACT_ROWS_AT_ONCE):
            rows = unsure[first:first + EXACT_ROWS_AT_ONCE]
            found[rows] = np.square(some[rows, None] - codebook).sum(axis=-1).argmin(axis=1)
        codes[start:start + ROWS_AT_ONCE] = found
    return codes


def decode(codes: ArrayLike, codebooks: Floats) -> Floats:
    """The sum of the chosen vectors, float[B, D]. `codes` is int[B, N]; -1 adds nothing.

    Raises ValueError: codes of another shape, not integers, or out of [-1, K).
    """
    check_codebooks(codebooks)
    levels, size, _ = codebooks.shape
    chosen = np.asarray(codes)
    if chosen.ndim != 2 or chosen.shape[1] != levels or not np.issubdtype(chosen.dtype, np.integer):
        raise ValueError(f"expected integer codes as [B, {levels}] for codebooks {codebooks.shape}, "
                         f"got {chosen.dtype} {chosen.shape}")
    if chosen.size and (chosen.min() < MISSING_CODE or chosen.max() >= size):
        raise ValueError(f"codes must be {MISSING_CODE} or in [0, {size}), got {chosen.min()} to {chosen.max()}: "
                         "they belong to another codebook")
    vectors = np.zeros((len(chosen), codebooks.shape[2]), codebooks.dtype)
    for level, codebook in enumerate(codebooks):
        column = chosen[:, level]
        vectors += np.where((column >= 0)[:, None], codebook[column], codebooks.dtype.type(0))
    return vectors


class OpqCoded(NamedTuple):
    codes: NDArray[np.int32]  # [B, S]
    reconstructed: Floats  # [B, D]: the chosen vectors side by side, rotated back


@dataclass(frozen=True)
class Opq:
    """An optimised product quantiser. Raises ValueError: shapes that do not fit, values that are not finite, or a rotation
    that is not orthonormal."""

    rotation: Floats  # [D, D]: rows of residuals are multiplied from the left
    codebooks: Floats  # [S, K, D / S]
    after: int = 3  # how many residual levels come before; SMILE: 3

    def __post_init__(self) -> None:
        check_codebooks(self.codebooks)
        parts, _, width = self.codebooks.shape
        if self.rotation.shape != (parts * width,) * 2:
            raise ValueError(f"expected a rotation as [{parts * width}, {parts * width}] for codebooks {self.codebooks.shape}, "
                             f"got {self.rotation.shape}")
        off = np.abs(self.rotation @ self.rotation.T - np.eye(len(self.rotation))).max()
        if not off <= ORTHONORMAL_WITHIN:
            raise ValueError(f"the rotation must be orthonormal within {ORTHONORMAL_WITHIN}, it is off by {off:.2g}: "
                             "fit it again")

    def encode(self, residual: Floats) -> OpqCoded:
        """Rotate, cut into S contiguous parts, take the nearest code of each part's own codebook; the same for a row
        whatever other rows come with it.

        Args:
          residual: float[B, D], `quantise(…).residuals[:, after]`.
        Raises:
          ValueError: another width, or a value that is not finite.
        """
        parts, _, width = self.codebooks.shape
        if residual.ndim != 2 or residual.shape[1] != len(self.rotation):
            raise ValueError(f"expected residuals as [B, {len(self.rotation)}], got {residual.shape}")
        # Row by row: how a product of many rows is blocked, and so rounded, depends on how many there are.
        rotated = (residual[:, None] @ self.rotation)[:, 0]
        found = [quantise(rotated[:, part * width:(part + 1) * width], book[None]) for part, book in enumerate(self.codebooks)]
        chosen = np.concatenate([one.quantised for one in found], axis=1)
        return OpqCoded(np.concatenate([one.codes for one in found], axis=1), chosen @ self.rotation.T)


def check_codebooks(codebooks: Floats) -> None:
    """Raises ValueError: not float[N, K, D], empty, or not finite."""
    if codebooks.ndim != 3 or 0 in codebooks.shape or not np.issubdtype(codebooks.dtype, np.floating):
        raise ValueError(f"expected codebooks as float[levels, codes, width], got {codebooks.dtype} {codebooks.shape}")
    if not np.isfinite(codebooks).all():
        raise ValueError("codebooks hold NaN or infinity: the version is broken, train it again")
