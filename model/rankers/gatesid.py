"""GateSID: semantic IDs, trusted as far as an item's maturity says (Eq. 2-10)."""

import tensorflow as tf

from model.layers.gate import MaturityGate
from model.layers.shared_attention import SharedAttention
from model.layers.sid_embedding import SidEmbedding
from model.losses.contrastive import gated_infonce
from model.rankers.trunk import ITEM_SCALE, SID_SCALE, Interest, Match, Trunk, View


class GateSid(Trunk):
    """The gate mixes the SIDs' and the ids' attention, and weights how closely the two embeddings are aligned."""

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        self.sids = SidEmbedding(
            (config.codes,) * config.levels, (config.sid_width // config.levels,) * config.levels, config.sid_spread,
            name="sids")
        self.gate = MaturityGate(config.gate_hidden, name="gate")
        self.attention = SharedAttention(
            config.sid_width, config.item_width, sid_gain=config.sid_gain, item_gain=config.item_gain, name="attention")

    def interest(self, view: View) -> Interest:
        sid_emb = self.sids(view.features["item_codes"])  # Eq. 2
        semantic_weight = self.weigh(view)  # Eq. 3
        pooled = self.attention(  # Eq. 4-7
            sid_emb, view.item_emb, self.sids(view.features["history_codes"]), view.history_item, view.mask, semantic_weight)
        levels = zip(*(tf.split(vector, self.sids.widths, axis=-1) for vector in (sid_emb, pooled.h_sid)), strict=True)
        matches = [Match(own, taken, SID_SCALE) for own, taken in levels]
        matches.append(Match(view.item_emb, pooled.h_item, ITEM_SCALE))
        return Interest([sid_emb, pooled.output], matches, semantic_weight, sid_emb)

    def weigh(self, view: View) -> tf.Tensor:
        return self.gate(view.item_emb, view.stats)

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        return alignment_loss(self.config, view, interest)


def alignment_loss(config, view: View, interest: Interest) -> tf.Tensor:
    """Weighted alignment of the batch's first rows with each other (Eq. 8-10)."""
    rows = slice(None, config.align_rows)
    contrast = gated_infonce(
        interest.sid_emb[rows], view.item_emb[rows], interest.semantic_weight[rows], view.features["item_row"][rows],
        config.temperature)
    return config.align_loss_weight * contrast.loss
