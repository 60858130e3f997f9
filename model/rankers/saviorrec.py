"""SaviorRec: frozen content, corrected by behaviour, and four attentions between the two (Eq. 6-17)."""

import tensorflow as tf

from model.layers.bidirectional_attention import BidirectionalAttention
from model.layers.content_table import ContentTable
from model.layers.gate import STATS
from model.layers.mba import Mba
from model.rankers.trunk import CONTENT_SCALE, ITEM_SCALE, Interest, Match, Trunk, View


class SaviorRec(Trunk):
    """Behaviour (id and statistics) and content each ask the history of both.

    Statistics of the history's items are no input of a ranker, so its behaviour is their ids alone. Nor is there a main scene
    whose CTR score could be given.
    """

    activation = "leaky_relu"

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        self.content = ContentTable(sizes.items, config.content_width, name="content")
        self.mba = Mba(
            config.levels, config.codes, config.mba_width, config.content_width, gain=config.mba_gain, name="mba")
        self.attention = BidirectionalAttention(
            config.item_width, config.content_width, units=config.content_width, heads=config.heads,
            candidate_width=config.item_width + STATS, gain=config.item_gain, content_gain=config.content_gain,
            name="attention")

    def interest(self, view: View) -> Interest:
        features = view.features
        content = self.align(features["item_row"], features["item_codes"])
        history = self.align(features["history_rows"], features["history_codes"])
        behaviours, contents = self.pool(view, content, history)
        matches = [Match(view.item_emb, h[:, :self.config.item_width], ITEM_SCALE) for h in behaviours]
        matches += [Match(content, h, CONTENT_SCALE) for h in contents]
        return Interest([content, *behaviours, *contents], matches)

    def align(self, rows, codes) -> tf.Tensor:
        """z corrected by what users do (Eq. 6-9), float[..., D]."""
        return self.mba(self.content(rows), codes).z_align

    def pool(self, view: View, content, history) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """What was pooled of behaviour, and what of content, by both kinds of likeness (Eq. 11-15)."""
        pooled = self.attention(behaviour(view), content, view.history_item, history, view.mask)
        return [pooled.h_b, pooled.h_m2b], [pooled.h_m, pooled.h_b2m]


def behaviour(view: View) -> tf.Tensor:
    """Id embedding and statistics of the candidate."""
    return tf.concat([view.item_emb, view.stats], axis=-1)


class WithoutMba(SaviorRec):
    """Content as the encoder gives it."""

    def align(self, rows, codes):
        return self.content(rows)


class WithoutContent(SaviorRec):
    """No multimodal embedding: what the codes alone say."""

    def align(self, rows, codes):
        return self.mba(tf.zeros_like(self.content(rows)), codes).z_align


class WithoutBidirectional(SaviorRec):
    """Each kind of likeness pools its own history only."""

    def pool(self, view, content, history):
        h_b, _ = self.attention.b(behaviour(view), view.history_item, view.history_item, view.mask)
        h_m, _ = self.attention.m(content, history, history, view.mask)
        return [h_b], [h_m]
