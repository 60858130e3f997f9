"""Target attention: a candidate asks a user's history what matters for it (SaviorRec Eq. 10; the base ranker's interest)."""

import tensorflow as tf

from model.layers.masked_softmax import masked_softmax
from model.layers.projection_start import projection_start
from model.layers.shapes import expect_rank, expect_width


class TargetAttention(tf.keras.layers.Layer):
    """Multi-head attention without output projection and without biases, as printed (R16; Keras's own has both).

    Args:
      query_width, key_width, value_width: columns of the three inputs.
      units: width of all heads together.
      heads: contiguous column blocks of the projections; must divide `units`.
      gain: queries and keys start as this times the identity, values as the identity; None for Glorot's random start.
    """

    def __init__(self, query_width, key_width, value_width, units, heads=1, gain=None, **kwargs):
        super().__init__(**kwargs)
        if units % heads:
            raise ValueError(f"`units` {units} must be a multiple of `heads` {heads}: each head gets an equal share")
        self.query_width, self.key_width, self.value_width = query_width, key_width, value_width
        self.units, self.heads, self.gain = units, heads, gain

    def build(self, _):
        self.wq, self.wk, self.wv = (
            self.add_weight(name=name, shape=[width, self.units], initializer=projection_start(gain))
            for name, width, gain in (
                ("wq", self.query_width, self.gain), ("wk", self.key_width, self.gain),
                ("wv", self.value_width, None if self.gain is None else 1.0)))
        self.built = True

    def call(self, query, keys, values, mask):
        """Pool `values` by how well `keys` answer `query`.

        Args:
          query: float[B, Q]; keys: float[U, L, K]; values: float[U, L, V]; padded slots finite; U is B, or 1 for
            all rows alike.
          mask: bool[U, L], True = real.
        Returns:
          (output float[B, units], scores float[B, heads, L]); zeros where nothing is real.
        Raises:
          ValueError: a width or rank other than the above.
        """
        for name, tensor, axes, width in (
            ("query", query, "BQ", self.query_width), ("keys", keys, "BLK", self.key_width),
            ("values", values, "BLV", self.value_width),
        ):
            expect_rank(name, tensor, axes)
            expect_width(name, tensor, width, "the layer was made for that width")
        share = self.units // self.heads

        def by_head(kernel):
            return tf.reshape(kernel, [kernel.shape[0], self.heads, share])

        # As in shared attention, projections are moved off the history: q Wkᵀ before the keys, Wv after the pooling.
        projected = tf.einsum("bhd,khd->bhk", tf.einsum("bq,qhd->bhd", query, by_head(self.wq)), by_head(self.wk))
        logits = tf.matmul(projected, keys, transpose_b=True) / tf.sqrt(tf.cast(share, keys.dtype))
        scores = masked_softmax(logits, mask[:, tf.newaxis])
        output = tf.einsum("bhv,vhd->bhd", tf.matmul(scores, values), by_head(self.wv))
        return tf.reshape(output, [-1, self.units]), scores

    def get_config(self):
        return super().get_config() | {
            "query_width": self.query_width, "key_width": self.key_width, "value_width": self.value_width,
            "units": self.units, "heads": self.heads, "gain": self.gain}
