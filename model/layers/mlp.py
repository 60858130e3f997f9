"""Dense layers in a row."""

import tensorflow as tf


class Mlp(tf.keras.layers.Layer):
    """Hidden layers with one activation, then a linear output layer where `outputs` asks for it.

    Args:
      hidden: widths of the hidden layers; may be empty.
      outputs: width of the linear output layer, or None to end with the last hidden layer.
      activation: of the hidden layers (all three papers: ReLU, or LeakyReLU in SaviorRec).
    """

    def __init__(self, hidden, outputs=None, activation="relu", **kwargs):
        super().__init__(**kwargs)
        if not hidden and outputs is None:
            raise ValueError("an Mlp needs a hidden layer or an output layer, got neither: give `hidden` or `outputs`")
        self.hidden, self.outputs, self.activation = tuple(hidden), outputs, activation
        widths = [(width, activation) for width in self.hidden] + ([] if outputs is None else [(outputs, None)])
        self.dense = [
            tf.keras.layers.Dense(width, activation=act, dtype=self.dtype, name=f"dense_{n}")
            for n, (width, act) in enumerate(widths)]

    def call(self, inputs):
        """float[..., in] → float[..., outputs]."""
        for layer in self.dense:
            inputs = layer(inputs)
        return inputs

    def get_config(self):
        return super().get_config() | {
            "hidden": list(self.hidden), "outputs": self.outputs, "activation": self.activation}
