"""GateSID with one part changed: the rows of its ablation table."""

import tensorflow as tf

from model.rankers.controls import SidConcatenated
from model.rankers.gatesid import GateSid, alignment_loss
from model.rankers.trunk import Interest, View


class StaticAverage(GateSid):
    """Plain average: both branches count the same for every item."""

    def weigh(self, view: View) -> tf.Tensor:
        return tf.fill([tf.shape(view.item_emb)[0], 1], 0.5)


class GateOfItem(GateSid):
    """The gate sees the item embedding alone."""

    def weigh(self, view: View) -> tf.Tensor:
        return self.gate(view.item_emb, tf.zeros_like(view.stats))


class GateOfStats(GateSid):
    """The gate sees the statistics alone."""

    def weigh(self, view: View) -> tf.Tensor:
        return self.gate(tf.zeros_like(view.item_emb), view.stats)


class WithoutAlignment(GateSid):
    """Fused attention, and nothing that pulls the two embeddings together."""

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        return tf.zeros([])


class WithoutFusedAttention(SidConcatenated):
    """Alignment, and two attentions that know nothing of each other.

    The gate learns through the fused attention alone (R9), so without it every row is aligned the same.
    """

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        aligned = interest._replace(
            semantic_weight=tf.ones([tf.shape(view.item_emb)[0], 1]), sid_emb=self.sids(view.features["item_codes"]))
        return alignment_loss(self.config, view, aligned)
