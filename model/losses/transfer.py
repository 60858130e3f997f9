"""Whichever embedding knows an item better teaches the other one (SMILE Eq. 6)."""

from typing import NamedTuple

import tensorflow as tf

from model.layers.shapes import expect_width


class Transfer(NamedTuple):
    """kl_to_rq, kl_to_id, per_row: float[B]; loss: float[]."""

    kl_to_rq: tf.Tensor
    kl_to_id: tf.Tensor
    per_row: tf.Tensor
    loss: tf.Tensor


def transfer_loss(id_emb, rq_emb, semantic_weight) -> Transfer:
    """semantic_weight x KL(id, stopped rq) + (1 - semantic_weight) x KL(stopped id, rq).

    Both terms have one value; they differ in who moves. A cold item (1) moves its id embedding towards its RQ embedding, a
    warm one the other way round.

    Args:
      id_emb, rq_emb: float[B, D], of one width; distributions by softmax over D at temperature 1 (R20).
      semantic_weight: float[B, 1]; a constant here.
    Raises:
      ValueError: the widths differ, or semantic_weight is not [B, 1].
    """
    expect_width("rq_emb", rq_emb, id_emb.shape[-1], "a divergence needs equal widths")
    expect_width("semantic_weight", semantic_weight, 1, "give the gate's [B, 1]")
    weight = tf.stop_gradient(semantic_weight)[:, 0]
    kl_to_rq = divergence(tf.stop_gradient(id_emb), rq_emb)
    kl_to_id = divergence(id_emb, tf.stop_gradient(rq_emb))
    per_row = weight * kl_to_id + (1 - weight) * kl_to_rq
    return Transfer(kl_to_rq, kl_to_id, per_row, tf.reduce_mean(per_row))


def divergence(first, second):
    """KL(softmax(first), softmax(second)), float[B], finite for logits of any size."""
    log_first, log_second = tf.nn.log_softmax(first), tf.nn.log_softmax(second)
    return tf.reduce_sum(tf.exp(log_first) * (log_first - log_second), axis=-1)
