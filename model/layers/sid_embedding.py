"""A trainable table per code level, looked up and concatenated (GateSID Eq. 2)."""

import tensorflow as tf

from features.spec import MISSING_CODE
from model.layers.shapes import expect_width


class SidEmbedding(tf.keras.layers.Layer):
    """Codes → vectors.

    Args:
      levels, codes: N levels of K codes each.
      width: of the concatenated vector (paper: 32); N must divide it.
      initial_spread: standard deviation of fresh rows.
    """

    def __init__(self, levels, codes, width, initial_spread=0.05, **kwargs):
        super().__init__(**kwargs)
        if width % levels:
            raise ValueError(f"`width` {width} must be a multiple of the {levels} levels: each level gets an equal share")
        self.levels, self.codes, self.width, self.initial_spread = levels, codes, width, initial_spread

    def build(self, _):
        self.table = self.add_weight(
            name="table", shape=[self.levels, self.codes, self.width // self.levels],
            initializer=tf.keras.initializers.RandomNormal(stddev=self.initial_spread))
        self.built = True

    def call(self, codes):
        """int32[..., N] → float[..., width]; code -1 gives zeros at its level (R1).

        Raises:
          ValueError: eagerly, a code is neither -1 nor in [0, K); in a graph, the lookup fails with InvalidArgumentError.
        """
        expect_width("codes", codes, self.levels, "give one code a level, -1 where an item has none")
        if tf.executing_eagerly():
            self.check_range(codes)
        share = self.width // self.levels
        rows = tf.reshape(self.table, [self.levels * self.codes, share])
        rows = tf.concat([tf.zeros([1, share], rows.dtype), rows], axis=0)
        first = tf.range(1, self.levels * self.codes, self.codes, dtype=codes.dtype)
        known = (codes >= 0) & (codes < self.codes)
        # A code out of range points at row -1, so that the lookup itself refuses it instead of reading another level.
        place = tf.where(known, codes + first, tf.where(codes == MISSING_CODE, 0, -1))
        looked_up = tf.gather(rows, place)
        return tf.reshape(looked_up, tf.concat([tf.shape(codes)[:-1], [self.width]], axis=0))

    def check_range(self, codes):
        low, high = tf.reduce_min(codes), tf.reduce_max(codes)
        if tf.size(codes) and (low < MISSING_CODE or high >= self.codes):
            raise ValueError(
                f"codes must be -1 (none) or 0..{self.codes - 1}, got values from {int(low)} to {int(high)}: "
                "check that they come from this model's codebook version")

    def get_config(self):
        return super().get_config() | {
            "levels": self.levels, "codes": self.codes, "width": self.width, "initial_spread": self.initial_spread}
