"""Items of similar OPQ codes come close, all others apart (SMILE Eq. 7)."""

from typing import NamedTuple

import tensorflow as tf

from features.spec import MISSING_CODE
from model.layers.l2_normalize import l2_normalize

TEMPERATURE = 0.1


class OpqContrast(NamedTuple):
    """positive, negative: bool[B, B + E]; per_row: float[B], 0 without a positive; loss: float[]."""

    positive: tf.Tensor
    negative: tf.Tensor
    per_row: tf.Tensor
    loss: tf.Tensor


def opq_contrast(opq_emb, opq_codes, item_ids, neighbours, extra_emb=None, extra_codes=None, extra_ids=None,
                 temperature: float = TEMPERATURE) -> OpqContrast:
    """-log(sum over positives / sum over positives and negatives), the mean over the rows that have a positive (R21).

    Another item is positive where both its sub-codes are among the neighbours of the anchor's. The anchor's own item is
    neither positive nor negative, wherever it stands; nor is an extra that looks positive. An item that lacks a code has
    nothing to be compared by: it is neither, and no anchor (our choice).

    Args:
      opq_emb: float[B, D]; opq_codes: int[B, S]; item_ids: int[B]: the batch.
      neighbours: int32[S, K, n] from opq_neighbours.
      extra_emb, extra_codes, extra_ids: more negatives, float[E, D], int[E, S], int[E].
      temperature: 0.1 (printed).
    """
    pool_emb, pool_codes, pool_ids = opq_emb, opq_codes, item_ids
    if extra_emb is not None:
        pool_emb, pool_codes, pool_ids = (
            tf.concat(both, 0) for both in ((opq_emb, extra_emb), (opq_codes, extra_codes), (item_ids, extra_ids)))
    comparable = has_codes(opq_codes)[:, tf.newaxis] & has_codes(pool_codes) & (item_ids[:, tf.newaxis] != pool_ids)
    alike = similar(opq_codes, pool_codes, neighbours)
    in_batch = tf.range(tf.shape(pool_ids)[0]) < tf.shape(item_ids)[0]
    positive, negative = comparable & alike & in_batch, comparable & ~alike
    logits = tf.matmul(l2_normalize(opq_emb), l2_normalize(pool_emb), transpose_b=True) / temperature
    has_positive = tf.reduce_any(positive, axis=-1)
    # A row without positives has log(0) for a numerator: it is given a finite stand-in before the logarithm, not after.
    among = positive | ~has_positive[:, tf.newaxis]
    per_row = tf.where(
        has_positive, log_sum(logits, among | negative) - log_sum(logits, among), tf.zeros([], logits.dtype))
    rows = tf.reduce_sum(tf.cast(has_positive, per_row.dtype))
    return OpqContrast(positive, negative, per_row, tf.reduce_sum(per_row) / tf.maximum(rows, 1))


def has_codes(codes):
    """bool[B]: no sub-code is missing."""
    return tf.reduce_all(codes != MISSING_CODE, axis=-1)


def similar(codes, pool_codes, neighbours):
    """bool[B, M]: every sub-code of the pool's item is a neighbour of the anchor's."""
    size = neighbours.shape[1]
    near = tf.reduce_any(tf.one_hot(neighbours, size, on_value=True, off_value=False), axis=2)  # [S, K, K]
    alike = [tf.gather(tf.gather(table, tf.maximum(own, 0)), tf.maximum(other, 0), axis=1)
             for table, own, other in zip(
                 tf.unstack(near), tf.unstack(codes, axis=1), tf.unstack(pool_codes, axis=1), strict=True)]
    return tf.reduce_all(tf.stack(alike), axis=0)


def log_sum(logits, chosen):
    """log of the sum of exp(logits) over the chosen columns, float[B]; each row has one."""
    return tf.reduce_logsumexp(tf.where(chosen, logits, tf.constant(-1e9, logits.dtype)), axis=-1)
