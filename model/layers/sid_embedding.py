"""A trainable table per code level, looked up and concatenated (GateSID Eq. 2)."""

import tensorflow as tf

from features.spec import MISSING_CODE
from model.layers.shapes import expect_width


class SidEmbedding(tf.keras.layers.Layer):
    """Codes → vectors.

    Args:
      codes: K of each of the N levels (paper: 256 on 4 levels).
      widths: columns of each level's table (paper: 32 together).
      initial_spread: standard deviation of fresh rows.
    """

    def __init__(self, codes, widths, initial_spread=0.3, **kwargs):
        super().__init__(**kwargs)
        if len(codes) != len(widths) or not len(codes):
            raise ValueError(f"`codes` and `widths` must name every level once, got {len(codes)} and {len(widths)} levels")
        self.codes, self.widths, self.initial_spread = tuple(codes), tuple(widths), initial_spread

    @property
    def width(self):
        return sum(self.widths)

    def build(self, _):
        start = tf.keras.initializers.RandomNormal
        self.tables = [
            self.add_weight(name=f"table_{level}", shape=shape, initializer=start(stddev=self.initial_spread))
            for level, shape in enumerate(zip(self.codes, self.widths, strict=True))]
        self.built = True

    def call(self, codes):
        """int32[..., N] → float[..., width]; code -1 gives zeros at its level (R1).

        Raises:
          ValueError: eagerly, a code is neither -1 nor in [0, K); in a graph, the lookup fails with InvalidArgumentError.
        """
        expect_width("codes", codes, len(self.codes), "give one code a level, -1 where an item has none")
        if tf.executing_eagerly():
            self.check_range(codes)
        # All levels in one lookup: their tables stacked, each below a row of zeros that -1 reads. A code out of range points
        # at row -1, so that the lookup itself refuses it instead of reading another level.
        widest = max(self.widths)
        rows = tf.concat([tf.pad(table, [[1, 0], [0, widest - table.shape[1]]]) for table in self.tables], axis=0)
        sizes = tf.constant(self.codes, codes.dtype)
        first = tf.cumsum(sizes + 1, exclusive=True) + 1
        known = (codes >= MISSING_CODE) & (codes < sizes)
        # The reshape changes nothing but the gradient: summed at once into a dense tensor, these tables being small.
        found = tf.gather(tf.reshape(rows, [-1, widest]), tf.where(known, codes + first, -1))
        if min(self.widths) < widest:
            return tf.concat([found[..., level, :width] for level, width in enumerate(self.widths)], axis=-1)
        return tf.reshape(found, tf.concat([tf.shape(codes)[:-1], [self.width]], axis=0))

    def check_range(self, codes):
        for level, size in enumerate(self.codes):
            if not tf.reduce_all((codes[..., level] >= MISSING_CODE) & (codes[..., level] < size)):
                low, high = int(tf.reduce_min(codes[..., level])), int(tf.reduce_max(codes[..., level]))
                raise ValueError(
                    f"codes of level {level} must be -1 (none) or 0..{size - 1}, got values from {low} to {high}: "
                    "check that they come from this model's codebook version")

    def get_config(self):
        return super().get_config() | {
            "codes": list(self.codes), "widths": list(self.widths), "initial_spread": self.initial_spread}
