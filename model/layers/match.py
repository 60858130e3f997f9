"""How much of the candidate is in what attention pooled from the history."""

import tensorflow as tf


def match_columns(candidate: tf.Tensor, pooled: tf.Tensor, scale: float) -> tf.Tensor:
    """The elementwise product, and `scale` times its sum.

    A softmax pools to a mean, which an MLP would have to compare with the candidate by itself; one pass over some weeks does
    not teach it that.

    Args:
      candidate, pooled: float[B, D] of one table.
      scale: brings the dot product of the table's vectors near 1.
    Returns:
      float[B, D + 1]; zeros for a zero candidate (never trained, no code).
    """
    product = candidate * pooled
    return tf.concat([product, scale * tf.reduce_sum(product, axis=-1, keepdims=True)], axis=-1)
