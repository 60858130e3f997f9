"""Modal-behaviour alignment: what users do corrects what an item looks like (SaviorRec Eq. 6-9)."""

from typing import NamedTuple

import tensorflow as tf

from model.layers.l2_normalize import NORM_EPSILON, l2_normalize
from model.layers.mlp import Mlp
from model.layers.shapes import expect_width
from model.layers.sid_embedding import SidEmbedding


class MbaResult(NamedTuple):
    """normalised: float[..., N W], v_align and z_align: float[..., D]."""

    normalised: tf.Tensor
    v_align: tf.Tensor
    z_align: tf.Tensor


class Mba(tf.keras.layers.Layer):
    """A second, trainable codebook that starts at zero, added to the frozen content vector through an MLP without biases.

    f(0) = 0 all the way (R15), so a fresh layer, and any item without a SID, gives its content vector bit for bit.

    Args:
      levels, codes: N and K of the SIDs (paper: 8 and 2048).
      width: columns of a code's vector (paper: 64; its ablation 8 to 64).
      content_width: D.
      hidden: widths of hidden layers, leaky ReLU; none by default.
      gain: fresh kernels are Glorot's times this. A code's vector has length 1 from its first step on, wherever that led, so
        at 1 the correction starts as loud as the content itself, and as noise.
      epsilon: floor of the squared norm; see l2_normalize.
    """

    def __init__(self, levels, codes, width, content_width, hidden=(), gain=1.0, epsilon=NORM_EPSILON, **kwargs):
        super().__init__(**kwargs)
        self.levels, self.codes, self.width = levels, codes, width
        self.content_width, self.hidden, self.gain, self.epsilon = content_width, tuple(hidden), gain, epsilon
        self.codebooks = SidEmbedding((codes,) * levels, (width,) * levels, 0.0, dtype=self.dtype, name="codebooks")
        self.mlp = Mlp(
            self.hidden, outputs=content_width, activation="leaky_relu", use_bias=False, gain=gain, dtype=self.dtype,
            name="mlp")

    def call(self, content, codes):
        """Align content vectors with behaviour.

        Args:
          content: float[..., D], frozen; zeros where an item has none.
          codes: int32[..., N]; -1 adds nothing at its level.
        Returns:
          MbaResult; z_align = content + MLP(l2_normalize(the codes' vectors, concatenated)).
        Raises:
          ValueError: a width other than the above, or (eagerly) a code out of range.
        """
        expect_width("content", content, self.content_width, "the layer was made for that width")
        normalised = l2_normalize(self.codebooks(codes), self.epsilon)
        v_align = self.mlp(normalised)
        return MbaResult(normalised, v_align, content + v_align)

    def get_config(self):
        return super().get_config() | {
            "levels": self.levels, "codes": self.codes, "width": self.width, "content_width": self.content_width,
            "hidden": list(self.hidden), "gain": self.gain, "epsilon": self.epsilon}
