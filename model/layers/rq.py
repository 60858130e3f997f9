"""Residual quantiser in TensorFlow (SaviorRec Eq. 4; GateSID Eq. 1), for training; `features/sid.py` is the reference."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

Assign = Callable[[tf.Tensor], tf.Tensor]


class ResidualCodes(NamedTuple):
    codes: tf.Tensor  # int32[B, N]
    chosen: tf.Tensor  # [B, N, W]: the chosen vector of each level
    residuals: tf.Tensor  # [B, N + 1, W]: residuals[:, 0] is x


def nearest(cost):
    """int32[B]: the code of least cost, the lowest index among equals (R11). `cost` is [B, K]."""
    return tf.argmin(cost, axis=1, output_type=tf.int32)


def squared_distances(x, codebook):
    """[B, K] squared distances of x [B, W] to a codebook [K, W]; Sinkhorn's rescaling needs them whole, |x|^2 included."""
    lengths = tf.reduce_sum(tf.square(x), axis=1, keepdims=True) + tf.reduce_sum(tf.square(codebook), axis=1)
    return lengths - 2 * tf.matmul(x, codebook, transpose_b=True)


def residual_codes(x, codebooks, assign: Assign = nearest) -> ResidualCodes:
    """Quantise what each level leaves over, level by level.

    Args:
      x: float[B, W], the output of Enc.
      codebooks: float[N, K, W].
      assign: cost [B, K] -> codes int32[B]; `nearest` at inference, Sinkhorn in training (R12).
    Raises:
      ValueError: the widths differ.
    """
    x, codebooks = tf.convert_to_tensor(x), tf.convert_to_tensor(codebooks)
    if x.shape.rank != 2 or codebooks.shape.rank != 3 or x.shape[1] != codebooks.shape[2]:
        raise ValueError(f"expected x [B, W] and codebooks [N, K, W], got {x.shape} and {codebooks.shape}")
    residuals, codes, chosen = [x], [], []
    for codebook in tf.unstack(codebooks):
        code = assign(tf.stop_gradient(squared_distances(residuals[-1], codebook)))
        vector = tf.gather(codebook, code)
        codes.append(code)
        chosen.append(vector)
        residuals.append(residuals[-1] - vector)
    return ResidualCodes(tf.stack(codes, 1), tf.stack(chosen, 1), tf.stack(residuals, 1))


def chosen_vectors(codes, codebooks):
    """The vectors [B, N, W] of given codes int[B, N]; -1 gives the zero vector (R1).

    Raises InvalidArgumentError: another code out of range.
    """
    codes = tf.convert_to_tensor(codes)
    size = tf.shape(codebooks, codes.dtype)[1]
    tf.debugging.assert_greater_equal(codes, tf.cast(-1, codes.dtype), "a code is -1 (none) or 0-based")
    tf.debugging.assert_less(codes, size, "a code is beyond its codebook")
    vectors = tf.gather(codebooks, tf.maximum(tf.transpose(codes), 0), axis=1, batch_dims=1)
    return tf.where((codes >= 0)[..., None], tf.transpose(vectors, [1, 0, 2]), tf.zeros([], codebooks.dtype))
