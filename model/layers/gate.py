"""The maturity gate: how far to trust content over behaviour (GateSID Eq. 3)."""

import tensorflow as tf

from model.layers.mlp import Mlp
from model.layers.shapes import expect_width

STATS = 3


def gate_stats(item_stats: tf.Tensor) -> tf.Tensor:
    """log1p of raw (online_days, exposure_7d, click_7d), float[B, 3] (R6).

    Logarithms are our choice: the paper does not say how it scales its counts. An item that is not online yet (-1 days)
    or a negative count reads as 0.
    """
    expect_width("item_stats", item_stats, STATS, "give online_days, exposure_7d, click_7d, in that order")
    return tf.math.log1p(tf.maximum(item_stats, tf.zeros([], item_stats.dtype)))


class MaturityGate(tf.keras.layers.Layer):
    """semantic_weight = sigmoid(MLP([item embedding, log statistics])): 1 = rely on the SID, 0 = on the item's own id."""

    def __init__(self, hidden=(16,), **kwargs):
        super().__init__(**kwargs)
        self.mlp = Mlp(hidden, outputs=1, dtype=self.dtype, name="mlp")

    def call(self, item_emb, stats):
        """How far to trust content over behaviour, per item.

        Args:
          item_emb: float[B, D] item-id embeddings.
          stats: float[B, 3] from `gate_stats`.
        Returns:
          float[B, 1] in [0, 1].
        Raises:
          ValueError: stats does not have exactly 3 columns.
        """
        expect_width("stats", stats, STATS, "give `gate_stats(item_stats)`")
        return tf.sigmoid(self.mlp(tf.concat([item_emb, stats], axis=-1)))

    def get_config(self):
        return super().get_config() | {"hidden": list(self.mlp.hidden)}
