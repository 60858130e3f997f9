"""How attention projections start."""

import tensorflow as tf


def projection_start(gain: float | None) -> tf.keras.initializers.Initializer:
    """`gain` times the identity (the first columns of it where the kernel is not square), or Glorot's where gain is None.

    With equal identities for queries and keys, scores are dot products: what resembles the candidate is attended to from the
    first step on. The papers print no start.
    """
    return tf.keras.initializers.GlorotUniform() if gain is None else tf.keras.initializers.Identity(gain)
