"""Adaptive transfer: id and RQ embedding blended by a gate, OPQ added (SMILE Eq. 4, 5, 8)."""

from typing import NamedTuple

import tensorflow as tf

from model.layers.mlp import Mlp
from model.layers.shapes import expect_width

OPQ_WEIGHT = 0.5


class TransferGate(tf.keras.layers.Layer):
    """semantic_weight = sigmoid(MLP([context, user, item features])); the paper's T_g is 1 - semantic_weight (R7)."""

    def __init__(self, hidden=(16,), **kwargs):
        super().__init__(**kwargs)
        self.mlp = Mlp(hidden, outputs=1, dtype=self.dtype, name="mlp")

    def call(self, context, user, item_features):
        """float[B, *] of the request, the user and the item → float[B, 1]; 1 = rely on the SID."""
        return tf.sigmoid(self.mlp(tf.concat([context, user, item_features], axis=-1)))

    def get_config(self):
        return super().get_config() | {"hidden": list(self.mlp.hidden)}


class Blend(NamedTuple):
    """coarse: id and RQ (Eq. 5); final: with OPQ (Eq. 8). float[..., D]."""

    coarse: tf.Tensor
    final: tf.Tensor


def transfer_blend(id_emb, rq_emb, opq_emb, semantic_weight, opq_weight: float = OPQ_WEIGHT) -> Blend:
    """semantic_weight x rq + (1 - semantic_weight) x id, plus opq_weight x opq.

    Args:
      id_emb, rq_emb, opq_emb: float[..., D], of one width.
      semantic_weight: float[..., 1]; here it gets gradient.
      opq_weight: the paper's lambda, 0.5.
    Raises:
      ValueError: the widths differ.
    """
    for name, vectors in (("rq_emb", rq_emb), ("opq_emb", opq_emb)):
        expect_width(name, vectors, id_emb.shape[-1], "a blend needs equal widths")
    expect_width("semantic_weight", semantic_weight, 1, "give the gate's [B, 1]")
    coarse = semantic_weight * rq_emb + (1 - semantic_weight) * id_emb
    return Blend(coarse, coarse + opq_weight * opq_emb)
