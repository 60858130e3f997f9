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
# Rows whose scores are held at once, 1 MB at 256 codes; rows decided by differences at once, 4 MB at 256 codes 64 wide.
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


class Encoded(NamedTuple):
    codes: NDArray[np.int32]  # [B, N]
    left_over: Floats  # [B, D]: what no level explains


def quantise(x: Floats, codebooks: Floats) -> Quantised:
    """`encode`, and what each level added and left over. Raises as `encode`."""
    codes = encode(x, codebooks).codes
    residuals = np.empty((len(x), len(codebooks) + 1, x.shape[1]), np.result_type(x, codebooks))
    residuals[:, 0] = x
    for level, codebook in enumerate(codebooks):
        residuals[:, level + 1] = residuals[:, level] - codebook[codes[:, level]]
    return Quantised(codes, decode(codes, codebooks), residuals)


def encode(x: Floats, codebooks: Floats) -> Encoded:
    """The codes of `x` (SaviorRec Eq. 4), the same for a row whatever other rows come with it.

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
    kind = np.result_type(x, codebooks)
    searches = [CodeSearch(codebook.astype(kind, copy=False), min(len(x), ROWS_AT_ONCE)) for codebook in codebooks]
    codes, left_over = np.empty((len(x), len(codebooks)), np.int32), x.astype(kind)
    for start in range(0, len(x), ROWS_AT_ONCE):
        left = left_over[start:start + ROWS_AT_ONCE]
        for level, search in enumerate(searches):
            found = search.nearest(left)
            codes[start:start + ROWS_AT_ONCE, level] = found
            left -= search.codebook.take(found, axis=0)
    return Encoded(codes, left_over)


class CodeSearch:
    """argmin_k of the summed squared differences to the codes of one codebook [K, D], for up to `rows` rows at once.

    |c|^2 - 2xc, one matrix product, says which code it must be, unless another is nearer to it than both roundings
    together can be wrong; those few rows are decided by the differences themselves. So the result is that of the
    differences, always: ties go to the lowest code, and how a product is blocked cannot matter.
    """

    def __init__(self, codebook: Floats, rows: int) -> None:
        size, width = codebook.shape
        lengths = np.square(codebook).sum(axis=1)
        self.codebook = codebook
        self.factors = np.concatenate([-2 * codebook.T, lengths[None]])  # times [x, 1]
        self.longest = lengths.max()
        # A sum of D products is wrong by at most D eps / 2 of its terms' magnitudes: 4 D eps bounds it all, twice that is used.
        self.wrong_by = 8 * width * np.finfo(codebook.dtype).eps
        self.padded, self.scores = np.ones((rows, width + 1), codebook.dtype), np.empty((rows, size), codebook.dtype)

    def nearest(self, x: Floats) -> NDArray[np.int64]:
        """int64[B] for float[B, D], B not more than `rows`."""
        padded, scores, each = self.padded[:len(x)], self.scores[:len(x)], np.arange(len(x))
        padded[:, :-1] = x
        np.matmul(padded, self.factors, out=scores)
        codes = scores.argmin(axis=1)
        least = scores[each, codes]
        limit = least + self.wrong_by * (np.einsum("bd,bd->b", x, x) + self.longest)
        scores[each, codes] = np.inf
        unsure = np.flatnonzero(~(scores[each, scores.argmin(axis=1)] > limit))  # NaN of an overflow: unsure
        for start in range(0, len(unsure), EXACT_ROWS_AT_ONCE):
            rows = unsure[start:start + EXACT_ROWS_AT_ONCE]
            possible = ~(scores[rows] > limit[rows, None])
            possible[np.arange(len(rows)), codes[rows]] = True
            codes[rows] = nearest_of_possible(x[rows], self.codebook, possible)
        return codes


def nearest_of_possible(x: Floats, codebook: Floats, possible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64[B]: the nearest, by the differences, of each row's possible codes: bool[B, K], at least one a row."""
    row, code = np.nonzero(possible)
    distance = np.square(x[row] - codebook[code]).sum(axis=1)
    least = np.minimum.reduceat(distance, np.searchsorted(row, np.arange(len(x))))
    nearest = np.flatnonzero(distance == least[row])
    return code[nearest[np.searchsorted(row[nearest], np.arange(len(x)))]]


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
        codes = [encode(rotated[:, part * width:(part + 1) * width], book[None]).codes[:, 0]
                 for part, book in enumerate(self.codebooks)]
        chosen = np.concatenate([book[column] for book, column in zip(self.codebooks, codes, strict=True)], axis=1)
        return OpqCoded(np.stack(codes, axis=1), chosen @ self.rotation.T)


def check_codebooks(codebooks: Floats) -> None:
    """Raises ValueError: not float[N, K, D], empty, or not finite."""
    if codebooks.ndim != 3 or 0 in codebooks.shape or not np.issubdtype(codebooks.dtype, np.floating):
        raise ValueError(f"expected codebooks as float[levels, codes, width], got {codebooks.dtype} {codebooks.shape}")
    if not np.isfinite(codebooks).all():
        raise ValueError("codebooks hold NaN or infinity: the version is broken, train it again")
