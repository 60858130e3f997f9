"""SMILE: one item vector, blended of id and RQ by a gate, with OPQ on top (Eq. 3-9)."""

from typing import NamedTuple

import tensorflow as tf

from features.errors import ConfigError
from features.spec import HISTORY_LENGTH, MISSING_CODE, NUM_LEVELS, RANKING_INPUTS, InputSpec
from model.layers.gate import STATS
from model.layers.opq_neighbours import opq_neighbours
from model.layers.rq_fusion import RqFusion
from model.layers.sid_embedding import SidEmbedding
from model.layers.target_attention import TargetAttention
from model.layers.transfer_gate import TransferGate, transfer_blend
from model.losses.opq_contrast import opq_contrast
from model.losses.smile import smile_total
from model.losses.transfer import transfer_loss
from model.rankers.trunk import HOURS, ITEM_SCALE, WEEKDAYS, Interest, Match, Trunk, View

OPQ_PARTS, NEIGHBOURS = 2, 10
OPQ_INPUTS = (
    InputSpec("item_opq_codes", "int32", (OPQ_PARTS,), "item", MISSING_CODE, "OPQ codes of what three RQ levels leave over"),
    InputSpec("history_opq_codes", "int32", (HISTORY_LENGTH, OPQ_PARTS), "user", MISSING_CODE, "those of the history"),
)


class Fine(NamedTuple):
    """OPQ embeddings of candidate, float[B, D], and history, float[B, L, D]."""

    item: tf.Tensor
    history: tf.Tensor


class SmileWithoutOpq(Trunk):
    """The paper's ablation ID + RQ: what needs no OPQ codes.

    The gate knows statistics of the candidate alone, so the history is blended with the candidate's weight (our choice).
    """

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        self.rq = SidEmbedding(
            (config.codes,) * config.rq_levels, (config.rq_width,) * config.rq_levels, config.sid_spread, name="rq")
        self.fusion = RqFusion(config.item_width, name="fusion")
        self.gate = TransferGate(config.gate_hidden, name="gate")
        self.attention = TargetAttention(
            config.item_width + STATS, config.item_width, config.item_width, config.item_width, gain=config.sid_gain,
            name="attention")

    def interest(self, view: View) -> Interest:
        semantic_weight = self.weigh(view)  # Eq. 4
        rq_emb, fine = self.fused(view.features["item_codes"]), self.fine(view)
        item = self.blend(view.item_emb, rq_emb, fine.item, semantic_weight)
        history = self.blend(
            view.history_item, self.fused(view.features["history_codes"]), fine.history, semantic_weight[:, tf.newaxis])
        pooled, _ = self.attention(tf.concat([item, view.stats], axis=-1), history, history, view.mask)
        return Interest([item, pooled], [Match(item, pooled, ITEM_SCALE)], semantic_weight, rq_emb, fine.item)

    def weigh(self, view: View) -> tf.Tensor:
        features = view.features
        context = tf.concat(
            [tf.one_hot(features["hour_of_day"], HOURS), tf.one_hot(features["day_of_week"], WEEKDAYS)], axis=-1)
        return self.gate(context, self.users(features["user_row"]), tf.concat([view.item_emb, view.stats], axis=-1))

    def fused(self, codes) -> tf.Tensor:
        """The first RQ levels of a SID as one vector (Eq. 3)."""
        return self.fusion(self.rq(codes[..., :self.config.rq_levels]))

    def fine(self, view: View) -> Fine:
        return Fine(tf.zeros_like(view.item_emb), tf.zeros_like(view.history_item))

    def blend(self, id_emb, rq_emb, opq_emb, semantic_weight) -> tf.Tensor:
        return transfer_blend(id_emb, rq_emb, opq_emb, semantic_weight, self.config.opq_weight).final  # Eq. 5, 8

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        transfer = transfer_loss(view.item_emb, interest.sid_emb, interest.semantic_weight).loss  # Eq. 6
        return smile_total(
            0.0, transfer, self.contrast(view, interest), self.config.transfer_loss_weight, self.config.opq_loss_weight)

    def contrast(self, view: View, interest: Interest) -> tf.Tensor:
        return tf.zeros([])


class Smile(SmileWithoutOpq):
    """All of it. Takes OPQ_INPUTS beside the usual ones, and the neighbours of its codebook's OPQ codes."""

    input_list = (*RANKING_INPUTS, *OPQ_INPUTS)

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        self.opq = SidEmbedding(
            (config.opq_codes,) * OPQ_PARTS, (config.item_width // OPQ_PARTS,) * OPQ_PARTS, config.sid_spread, name="opq")
        nearest = min(NEIGHBOURS, config.opq_codes)
        self.neighbours = self.add_weight(  # until codebooks are taken, a code has itself
            name="neighbours", shape=[OPQ_PARTS, config.opq_codes, nearest], dtype=tf.int32, trainable=False,
            initializer=lambda shape, **_: tf.broadcast_to(tf.range(shape[1])[:, tf.newaxis], shape))

    def first_column(self, part):
        return NUM_LEVELS if part is self.opq else super().first_column(part)

    def take_codebooks(self, opq_codebooks) -> None:
        """float[2, K, W]: which codes resemble each other (Eq. 7)."""
        self.neighbours.assign(opq_neighbours(opq_codebooks))

    def fine(self, view):
        if missing := [spec.name for spec in OPQ_INPUTS if spec.name not in view.features]:
            raise ConfigError(f"smile needs the inputs {', '.join(missing)}, which this caller does not give: give them, "
                              "or use smile_without_opq, which needs none")
        return Fine(self.opq(view.features["item_opq_codes"]), self.opq(view.features["history_opq_codes"]))

    def contrast(self, view, interest):
        """Eq. 7 on the batch's first rows."""
        rows = slice(None, self.config.align_rows)
        return opq_contrast(
            interest.opq_emb[rows], view.features["item_opq_codes"][rows], view.features["item_row"][rows], self.neighbours,
            temperature=self.config.temperature).loss
