"""Softmax over the real positions of a padded sequence."""

import tensorflow as tf


def masked_softmax(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Scores over the last axis; padded positions get 0 (R5).

    Args:
      logits: float[..., L]; padded positions may hold any finite value.
      mask: bool[..., L], broadcastable to `logits`; True = real.
    Returns:
      float[..., L], summing to 1, or all zeros (with zero gradient) where no position is real.
    """
    mask = tf.broadcast_to(mask, tf.shape(logits))
    highest = tf.reduce_max(tf.where(mask, logits, logits.dtype.min), axis=-1, keepdims=True)
    # Padded logits are replaced before the exponential as well as after it: one `where` alone back-propagates 0 x inf.
    shifted = tf.where(mask, logits - tf.stop_gradient(highest), tf.zeros_like(logits))
    powers = tf.where(mask, tf.exp(shifted), tf.zeros_like(logits))
    total = tf.reduce_sum(powers, axis=-1, keepdims=True)
    return powers / tf.where(total > 0, total, tf.ones_like(total))
