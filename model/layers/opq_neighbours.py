"""Which OPQ codes resemble each other: the static table that SMILE's contrast reads (Eq. 7)."""

import tensorflow as tf

from model.layers.l2_normalize import l2_normalize
from model.layers.shapes import expect_rank

NEIGHBOURS = 10


def opq_neighbours(codebooks, count: int = NEIGHBOURS):
    """The codes most similar to each code by cosine, itself first (R21), per sub-codebook.

    Args:
      codebooks: float[S, K, W].
      count: how many (paper: 10); all K where there are fewer.
    Returns:
      int32[S, K, min(count, K)].
    Raises:
      ValueError: not three axes.
    """
    codebooks = tf.convert_to_tensor(codebooks)
    expect_rank("codebooks", codebooks, "SKW")
    unit = l2_normalize(codebooks)
    cosine = tf.matmul(unit, unit, transpose_b=True)
    # A zero code vector resembles nothing, yet it is its own neighbour.
    itself_first = tf.linalg.set_diag(cosine, tf.fill(tf.shape(cosine)[:-1], tf.constant(2, cosine.dtype)))
    return tf.math.top_k(itself_first, min(count, codebooks.shape[1])).indices
