"""What makes the table honest: the plainest ways to use SIDs, or content without SIDs."""

import tensorflow as tf

from model.layers.content_table import ContentTable
from model.layers.gate import STATS
from model.layers.sid_embedding import SidEmbedding
from model.layers.target_attention import TargetAttention
from model.rankers.base import Base
from model.rankers.trunk import CONTENT_SCALE, SID_SCALE, Interest, Match, View


class SidConcatenated(Base):
    """Ids and SIDs, each with a target attention of its own, side by side: no gate, no fusion, no alignment."""

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        widths = (config.sid_width // config.levels,) * config.levels
        self.sids = SidEmbedding((config.codes,) * config.levels, widths, config.sid_spread, name="sids")
        self.sid_attention = TargetAttention(
            config.sid_width + STATS, config.sid_width, config.sid_width, config.sid_width, gain=config.sid_gain,
            name="sid_attention")

    def interest(self, view: View) -> Interest:
        by_id, by_sid = super().interest(view), self.semantic_interest(view)
        return Interest([*by_id.vectors, *by_sid.vectors], [*by_id.matches, *by_sid.matches])

    def semantic_interest(self, view: View) -> Interest:
        sid_emb, history = self.sids(view.features["item_codes"]), self.sids(view.features["history_codes"])
        pooled, _ = self.sid_attention(tf.concat([sid_emb, view.stats], axis=-1), history, history, view.mask)
        levels = zip(*(tf.split(vector, self.sids.widths, axis=-1) for vector in (sid_emb, pooled)), strict=True)
        return Interest([sid_emb, pooled], [Match(own, taken, SID_SCALE) for own, taken in levels])


class SidOnly(SidConcatenated):
    """SIDs in place of ids: an item is what its codes say."""

    def look_up(self, features) -> View:
        view = super().look_up(features)
        return view._replace(item_emb=tf.zeros_like(view.item_emb), history_item=tf.zeros_like(view.history_item))


class FrozenContent(Base):
    """Ids, and the encoder's own vectors, centred, with a target attention of their own; no SIDs."""

    def __init__(self, config, sizes, **kwargs):
        super().__init__(config, sizes, **kwargs)
        self.content = ContentTable(sizes.items, config.content_width, name="content")
        self.content_attention = TargetAttention(
            *(config.content_width,) * 4, gain=config.content_gain, name="content_attention")

    def interest(self, view: View) -> Interest:
        by_id = super().interest(view)
        content, history = (self.content(view.features[name]) for name in ("item_row", "history_rows"))
        pooled, _ = self.content_attention(content, history, history, view.mask)
        return Interest([*by_id.vectors, content, pooled], [*by_id.matches, Match(content, pooled, CONTENT_SCALE)])
