"""Bi-directional target attention: behaviour and content each pool both histories (SaviorRec Eq. 11-15)."""

from typing import NamedTuple

import tensorflow as tf

from model.layers.target_attention import TargetAttention


class BidirectionalAttentionResult(NamedTuple):
    """float[B, units] each; output: [h_b, h_m, h_b2m, h_m2b]."""

    h_b: tf.Tensor
    h_m: tf.Tensor
    h_b2m: tf.Tensor
    h_m2b: tf.Tensor
    output: tf.Tensor


class BidirectionalAttention(tf.keras.layers.Layer):
    """Four target attentions with weights of their own (R17).

        block   who asks, whose scores   what is pooled
        b       behaviour                behaviour
        m       content                  content
        b2m     behaviour                content
        m2b     content                  behaviour

    Args:
      behaviour_width, content_width: columns of the histories.
      units, heads: of each block (paper: 8 heads).
      candidate_width: columns of the candidate's behaviour vector, where it knows more than the history does of its items.
      gain, content_gain: see TargetAttention; of the blocks in which behaviour asks, and in which content does.
    """

    def __init__(self, behaviour_width, content_width, units, heads=1, candidate_width=None, gain=None, content_gain=None,
                 **kwargs):
        super().__init__(**kwargs)
        self.behaviour_width, self.content_width = behaviour_width, content_width
        self.units, self.heads, self.gain, self.content_gain = units, heads, gain, content_gain
        self.candidate_width = candidate_width or behaviour_width

        def block(name, query, keys, values, start):
            return TargetAttention(query, keys, values, units, heads, start, dtype=self.dtype, name=name)

        self.b = block("b", self.candidate_width, behaviour_width, behaviour_width, gain)
        self.m = block("m", content_width, content_width, content_width, content_gain)
        self.b2m = block("b2m", self.candidate_width, behaviour_width, content_width, gain)
        self.m2b = block("m2b", content_width, content_width, behaviour_width, content_gain)

    def call(self, behaviour, content, history_behaviour, history_content, mask):
        """Pool both histories of each user by both kinds of likeness.

        Args:
          behaviour, content: float[B, Q], float[B, D] of the candidate.
          history_behaviour, history_content: float[U, L, H], float[U, L, D]; padded slots finite; U is B, or 1 for all rows
            alike.
          mask: bool[U, L], True = real.
        Returns:
          BidirectionalAttentionResult; zeros where nothing is real.
        Raises:
          ValueError: a width or rank other than the above.
        """
        h_b, _ = self.b(behaviour, history_behaviour, history_behaviour, mask)
        h_m, _ = self.m(content, history_content, history_content, mask)
        h_b2m, _ = self.b2m(behaviour, history_behaviour, history_content, mask)
        h_m2b, _ = self.m2b(content, history_content, history_behaviour, mask)
        return BidirectionalAttentionResult(h_b, h_m, h_b2m, h_m2b, tf.concat([h_b, h_m, h_b2m, h_m2b], axis=-1))

    def get_config(self):
        return super().get_config() | {
            "behaviour_width": self.behaviour_width, "content_width": self.content_width, "units": self.units,
            "heads": self.heads, "candidate_width": self.candidate_width, "gain": self.gain,
            "content_gain": self.content_gain}
