"""SaviorEnc (SaviorRec Eq. 2): modality tokens -> 3-layer fusion transformer -> projection -> unit vector.

The network `features/fusion.py` runs in NumPy, with the same arrays under the same names, so that training exports
what inference loads.
"""

import numpy as np
import tensorflow as tf

from features.content import FIRST_FIELD_TOKEN, ContentSchema, TokenBatch
from features.fusion import MASKED_LOGIT, NORM_EPSILON, STACKED, FusionConfig, weight_shapes
from model.layers.l2_normalize import l2_normalize


class SaviorEnc(tf.Module):
    """Trainable encoder; `encoder.arrays()` is what `features.encoder.ContentEncoder` reads."""

    def __init__(self, config: FusionConfig, schema: ContentSchema, seed: int) -> None:
        super().__init__()
        self.config = config
        rng = np.random.default_rng(seed)
        self.weights = {name: tf.Variable(initial(name, shape, rng), name=name)
                        for name, shape in weight_shapes(config, schema).items()}

    def __call__(self, texts, value_rows, vectors, present):
        """Encode items.

        Args:
          texts: float32[B, T, 256], the text vector of each token (zeros where it has none).
          value_rows: int32[B, F]; vectors: float32[B, V].
          present: bool[B, T]; a missing modality is masked, an item without any gets an arbitrary finite vector.
        Returns:
          float32[B, D] of unit length.
        """
        w = self.weights
        own = tf.matmul(texts[:, 0], w["text_kernel"])
        given = tf.matmul(vectors, w["vector_kernel"])
        words = tf.matmul(texts[:, FIRST_FIELD_TOKEN:], w["value_text_kernel"])
        fields = tf.gather(w["value_table"], value_rows) + words
        x = tf.concat([own[:, None], given[:, None], fields], 1) + w["token_bias"]
        bias = tf.where(present, 0.0, MASKED_LOGIT)[:, None, None, :]
        for layer in range(self.config.layers):
            x = self.block(x, bias, {name.removeprefix(STACKED): stacked[layer]
                                     for name, stacked in w.items() if name.startswith(STACKED)})
        x = normalise(x, w["pool_scale"], w["pool_shift"])
        real = tf.cast(present, x.dtype)[..., None]
        pooled = tf.reduce_sum(x * real, 1) / tf.maximum(tf.reduce_sum(real, 1), 1.0)
        return l2_normalize(tf.matmul(pooled, w["projection_kernel"]) + w["projection_bias"])

    def block(self, x, bias, w):
        """One pre-norm transformer layer on [B, T, width]."""
        normed = normalise(x, w["attention_scale"], w["attention_shift"])
        query, key, value = (self.split_heads(tf.matmul(normed, w[f"{name}_kernel"])) for name in ("query", "key", "value"))
        scores = tf.matmul(query, key, transpose_b=True) / np.sqrt(self.config.width // self.config.heads).astype(np.float32)
        attended = tf.transpose(tf.matmul(tf.nn.softmax(scores + bias), value), [0, 2, 1, 3])
        x += tf.matmul(tf.reshape(attended, tf.shape(x)), w["attended_kernel"]) + w["attended_bias"]
        normed = normalise(x, w["feed_scale"], w["feed_shift"])
        inner = tf.nn.relu(tf.matmul(normed, w["feed_in_kernel"]) + w["feed_in_bias"])
        return x + tf.matmul(inner, w["feed_out_kernel"]) + w["feed_out_bias"]

    def split_heads(self, x):
        tokens, width = x.shape[1], x.shape[2]
        return tf.transpose(tf.reshape(x, [-1, tokens, self.config.heads, width // self.config.heads]), [0, 2, 1, 3])

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in self.weights.items()}


class TokenTable:
    """A tokenised catalogue on the TensorFlow side: batches of it by row."""

    def __init__(self, batch: TokenBatch) -> None:
        self.tensors = {name: tf.constant(array) for name, array in batch._asdict().items()}

    def rows(self, rows):
        """The encoder's keyword arguments for the given rows, int[B]."""
        t = self.tensors
        return {"texts": tf.gather(t["texts"], tf.gather(t["text_rows"], rows)),
                **{name: tf.gather(t[name], rows) for name in ("value_rows", "vectors", "present")}}


def initial(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Ones for scales, zeros for shifts and biases, small tables, kernels of variance 1 / inputs.

    Text vectors have unit length, not unit components, so their kernels need no division by the width.
    """
    if name.endswith("_scale"):
        return np.ones(shape, np.float32)
    if name.endswith(("_shift", "_bias")) and name != "token_bias":
        return np.zeros(shape, np.float32)
    if name in ("text_kernel", "value_text_kernel", "vector_kernel"):
        deviation = 1.0
    elif name in ("token_bias", "value_table"):
        deviation = 0.5
    else:
        deviation = 1 / np.sqrt(shape[-2])
    return rng.normal(0, deviation, shape).astype(np.float32)


def normalise(x, scale, shift):
    """Layer normalisation over the last axis."""
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + NORM_EPSILON) * scale + shift
