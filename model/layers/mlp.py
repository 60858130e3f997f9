"""Dense layers in a row."""

import tensorflow as tf


def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, x / 100) (R17). TensorFlow's own keeps its slope in float32, also for float64."""
    return tf.maximum(x, 0.01 * x)


ACTIVATIONS = {"relu": tf.nn.relu, "leaky_relu": leaky_relu}


class Mlp(tf.keras.layers.Layer):
    """Hidden layers with one activation, then a linear output layer where `outputs` asks for it.

    Args:
      hidden: widths of the hidden layers; may be empty.
      outputs: width of the linear output layer, or None to end with the last hidden layer.
      activation: of the hidden layers: `relu`, or `leaky_relu` (SaviorRec).
      gain: fresh kernels are Glorot's times this.
      use_bias: False where nothing in must give nothing out (SaviorRec's alignment, R15).
    """

    def __init__(self, hidden, outputs=None, activation="relu", use_bias=True, gain=1.0, **kwargs):
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        if not hidden and outputs is None:
            raise ValueError("an Mlp needs a hidden layer or an output layer, got neither: give `hidden` or `outputs`")
        self.hidden, self.outputs, self.activation, self.use_bias = tuple(hidden), outputs, activation, use_bias
        self.gain = gain
        widths = [(width, ACTIVATIONS[activation]) for width in self.hidden] + ([] if outputs is None else [(outputs, None)])
        self.dense = [
            tf.keras.layers.Dense(
                width, activation=act, use_bias=use_bias, dtype=self.dtype, name=f"dense_{n}",
                kernel_initializer=tf.keras.initializers.VarianceScaling(gain ** 2, "fan_avg", "uniform"))
            for n, (width, act) in enumerate(widths)]

    def call(self, inputs):
        """float[..., in] → float[..., outputs]."""
        for layer in self.dense:
            inputs = layer(inputs)
        return inputs

    def get_config(self):
        return super().get_config() | {
            "hidden": list(self.hidden), "outputs": self.outputs, "activation": self.activation,
            "use_bias": self.use_bias, "gain": self.gain}
