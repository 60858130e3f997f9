"""In-batch InfoNCE from SID embeddings to item embeddings, each row weighted by the gate (GateSID Eq. 8-10)."""

from typing import NamedTuple

import tensorflow as tf

from model.layers.l2_normalize import l2_normalize
from model.layers.shapes import expect_width

TEMPERATURE = 0.1


class Contrast(NamedTuple):
    """logits: float[B, B], cosine / temperature, anchors in rows; per_row: float[B]; loss: float[]."""

    logits: tf.Tensor
    per_row: tf.Tensor
    loss: tf.Tensor


def gated_infonce(sid_emb, item_emb, semantic_weight, item_ids, temperature: float = TEMPERATURE) -> Contrast:
    """Pull each item's SID embedding to its own item embedding, the more so the less its behaviour is to be trusted.

    Args:
      sid_emb, item_emb: float[B, D], of one width; both get gradient.
      semantic_weight: float[B, 1]; a constant here (R9), or the gate would lower the loss by closing.
      item_ids: int[B]; columns that hold the anchor's own item are no negatives (R8).
      temperature: the paper prints none; 0.1 throughout (R3).
    Returns:
      Contrast; loss is the mean over B (not over the weights) of semantic_weight x per_row.
    Raises:
      ValueError: the two widths differ, or semantic_weight is not [B, 1].
    """
    expect_width("item_emb", item_emb, sid_emb.shape[-1], "project one of the two: a cosine needs equal widths")
    expect_width("semantic_weight", semantic_weight, 1, "give the gate's [B, 1]")
    logits = tf.matmul(l2_normalize(sid_emb), l2_normalize(item_emb), transpose_b=True) / temperature
    same_item = item_ids[:, tf.newaxis] == item_ids[tf.newaxis, :]
    no_negative = tf.linalg.set_diag(same_item, tf.zeros_like(item_ids, tf.bool))
    compared = tf.where(no_negative, tf.constant(float("-inf"), logits.dtype), logits)
    per_row = tf.reduce_logsumexp(compared, axis=-1) - tf.linalg.diag_part(logits)
    weight = tf.stop_gradient(semantic_weight)[:, 0]
    return Contrast(logits, per_row, tf.reduce_mean(weight * per_row))


def total_loss(rank_loss, align_loss, align_loss_weight: float = 0.1):
    """Ranking plus weighted alignment (Eq. 10; the paper's lambda is 0.1)."""
    return rank_loss + align_loss_weight * align_loss
