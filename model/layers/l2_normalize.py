"""Length 1 with a bounded slope at zero (R2): what every cosine and SaviorRec's alignment stand on."""

import tensorflow as tf

NORM_EPSILON = 1e-4


def l2_normalize(vectors: tf.Tensor, epsilon: float = NORM_EPSILON) -> tf.Tensor:
    """x / sqrt(max(sum x^2, epsilon)) over the last axis: length 1 from a norm of 0.01 on, zero stays zero.

    The slope at zero is 100. TensorFlow's epsilon of 1e-12 gives 10^6, and one such gradient fills Adagrad's accumulator.
    """
    return tf.math.l2_normalize(vectors, axis=-1, epsilon=epsilon)
