"""The vectors of an item's RQ levels, fused into one beside its id embedding (SMILE Eq. 3)."""

import tensorflow as tf


class RqFusion(tf.keras.layers.Layer):
    """Concat @ kernel, without bias (R19): an item without a SID fuses to zero.

    Args:
      width: D, that of the item-id embedding it is blended with.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=[shape[-1], self.width], initializer="glorot_uniform")
        self.built = True

    def call(self, rq_levels):
        """float[..., 3 W], the level vectors side by side as SidEmbedding gives them → float[..., D]."""
        return tf.tensordot(rq_levels, self.kernel, axes=1)

    def get_config(self):
        return super().get_config() | {"width": self.width}
