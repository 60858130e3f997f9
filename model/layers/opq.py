"""Product codes of what three residual levels leave over (SMILE section 2.2): SID = (rq1, rq2, rq3, opq1, opq2)."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.layers.rq import nearest, squared_distances

ORTHONORMAL_WITHIN = 1e-4


class OpqCodes(NamedTuple):
    codes: tf.Tensor  # int32[B, S]
    reconstructed: tf.Tensor  # float[B, D], rotated back


def opq_codes(residual, rotation, codebooks) -> OpqCodes:
    """Rotate, cut into contiguous parts, take the nearest code of each part's own codebook (R18).

    Args:
      residual: float[B, D], `residual_codes(...).residuals[:, 3]`.
      rotation: float[D, D], orthonormal; rows are multiplied from the left.
      codebooks: float[S, K, D / S]; the paper has S = 2.
    Raises:
      ValueError: shapes that do not fit, or (eagerly) a rotation that is not orthonormal.
    """
    residual, rotation, codebooks = (tf.convert_to_tensor(given) for given in (residual, rotation, codebooks))
    parts, _, width = codebooks.shape
    if residual.shape.rank != 2 or tuple(rotation.shape) != (residual.shape[1],) * 2 or parts * width != residual.shape[1]:
        raise ValueError("expected residual [B, D], rotation [D, D] and codebooks [S, K, D / S], got "
                         f"{residual.shape}, {rotation.shape} and {codebooks.shape}")
    if tf.executing_eagerly():
        check_orthonormal(rotation.numpy())
    rotated = tf.split(tf.matmul(residual, rotation), parts, axis=1)
    codes = [nearest(squared_distances(part, book)) for part, book in zip(rotated, tf.unstack(codebooks), strict=True)]
    chosen = [tf.gather(book, code) for code, book in zip(codes, tf.unstack(codebooks), strict=True)]
    return OpqCodes(tf.stack(codes, 1), tf.matmul(tf.concat(chosen, 1), rotation, transpose_b=True))


def check_orthonormal(rotation: np.ndarray) -> None:
    off = np.abs(rotation @ rotation.T - np.eye(len(rotation))).max()
    if not off <= ORTHONORMAL_WITHIN:
        raise ValueError(f"`rotation` must be orthonormal within {ORTHONORMAL_WITHIN}, it is off by {off:.2g}: fit it again")
