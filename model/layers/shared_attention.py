"""Gating-fused shared attention: one mixed distribution pools both modalities (GateSID Eq. 4-7)."""

from typing import NamedTuple

import tensorflow as tf

from model.layers.masked_softmax import masked_softmax
from model.layers.projection_start import projection_start
from model.layers.shapes import expect_rank, expect_width


class SharedAttentionResult(NamedTuple):
    """s_*: float[B, L], attention of the SIDs, of the item ids, and mixed; h_*: float[B, *], the pooled sequences."""

    s_sid: tf.Tensor
    s_item: tf.Tensor
    s_fused: tf.Tensor
    h_sid: tf.Tensor
    h_item: tf.Tensor
    output: tf.Tensor  # [h_sid, h_item]


class SharedAttention(tf.keras.layers.Layer):
    """The candidate attends to the user's SIDs and, separately, to their item ids; the gate mixes the two score vectors.

    Separate projections per modality, one head, no bias (R4).

    Args:
      sid_width, item_width: S and D, columns of the two embeddings.
      sid_units, item_units: projected widths d; None for the modality's own.
      sid_gain, item_gain: projections start as this times the identity, so that a candidate attends to what resembles it
        before anything is learnt; None for Glorot's random start.
    """

    def __init__(
        self, sid_width, item_width, sid_units=None, item_units=None, sid_gain=None, item_gain=None, **kwargs,
    ):
        super().__init__(**kwargs)
        self.sid_gain, self.item_gain = sid_gain, item_gain
        self.sid_width, self.item_width = sid_width, item_width
        self.sid_units, self.item_units = sid_units or sid_width, item_units or item_width

    def build(self, _):
        self.wq_sid, self.wk_sid = (
            self.add_weight(name=name, shape=[self.sid_width, self.sid_units], initializer=projection_start(self.sid_gain))
            for name in ("wq_sid", "wk_sid"))
        self.wq_item, self.wk_item = (
            self.add_weight(name=name, shape=[self.item_width, self.item_units], initializer=projection_start(self.item_gain))
            for name in ("wq_item", "wk_item"))
        self.built = True

    def call(self, target_sid, target_item, history_sid, history_item, mask, semantic_weight):
        """Pool both histories of each user for one candidate.

        Args:
          target_sid, target_item: float[B, S], float[B, D] of the candidate.
          history_sid, history_item: float[U, L, S], float[U, L, D]; padded slots finite; U is B, or 1 for all rows alike.
          mask: bool[U, L], True = real.
          semantic_weight: float[B, 1], the candidate's gate (R7): 1 takes the SIDs' scores, 0 the ids'.
        Returns:
          SharedAttentionResult; its output is float[B, S + D]. A row with nothing real gives zeros.
        Raises:
          ValueError: a width or rank other than the above.
        """
        expect_rank("history_sid", history_sid, "BLS")
        expect_rank("history_item", history_item, "BLD")
        for name, tensor, width in (
            ("target_sid", target_sid, self.sid_width), ("history_sid", history_sid, self.sid_width),
            ("target_item", target_item, self.item_width), ("history_item", history_item, self.item_width),
        ):
            expect_width(name, tensor, width, "the layer was made for that width")
        expect_width("semantic_weight", semantic_weight, 1, "give the gate's [B, 1]")
        s_sid = attention_scores(target_sid, history_sid, self.wq_sid, self.wk_sid, mask)
        s_item = attention_scores(target_item, history_item, self.wq_item, self.wk_item, mask)
        s_fused = semantic_weight * s_sid + (1 - semantic_weight) * s_item
        h_sid, h_item = pool(s_fused, history_sid), pool(s_fused, history_item)
        return SharedAttentionResult(s_sid, s_item, s_fused, h_sid, h_item, tf.concat([h_sid, h_item], axis=-1))

    def get_config(self):
        return super().get_config() | {
            "sid_width": self.sid_width, "item_width": self.item_width,
            "sid_units": self.sid_units, "item_units": self.item_units,
            "sid_gain": self.sid_gain, "item_gain": self.item_gain}


def attention_scores(target, history, wq, wk, mask):
    """softmax(target Wq (history Wk)ᵀ / sqrt(d)), float[B, L] (Eq. 4, 5).

    (target Wq) Wkᵀ is taken first: the same product, and the history, by far the largest tensor, is not projected.
    """
    query = tf.matmul(tf.matmul(target, wq), wk, transpose_b=True)
    logits = tf.matmul(query[:, tf.newaxis], history, transpose_b=True)[:, 0] / tf.sqrt(tf.cast(wq.shape[-1], query.dtype))
    return masked_softmax(logits, mask)


def pool(scores, history):
    """The history's vectors, summed as the scores say (Eq. 7): float[B, L], float[U, L, D] → float[B, D]."""
    return tf.matmul(scores[:, tf.newaxis], history)[:, 0]
