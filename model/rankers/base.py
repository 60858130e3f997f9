"""Base: target attention on item ids and statistics, no semantic ID."""

import tensorflow as tf

from model.layers.gate import STATS
from model.layers.target_attention import TargetAttention
from model.rankers.trunk import ITEM_SCALE, Interest, Match, Trunk, View


class Base(Trunk):
    """The candidate's id and statistics ask the history's ids."""

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        self.attention = TargetAttention(
            config.item_width + STATS, config.item_width, config.item_width, config.item_width, gain=config.item_gain,
            name="attention")

    def interest(self, view: View) -> Interest:
        query = tf.concat([view.item_emb, view.stats], axis=-1)
        pooled, _ = self.attention(query, view.history_item, view.history_item, view.mask)
        return Interest([pooled], [Match(view.item_emb, pooled, ITEM_SCALE)])
