"""SaviorEnc's forward pass in NumPy (SaviorRec Eq. 2): modality tokens -> fusion transformer -> projection -> unit vector.

`model/encoder.py` trains the same network in TensorFlow and exports the arrays listed in `weight_shapes`.

Every product is a stack of small ones, one per item ([T, width] @ [width, out]), and blocks have one fixed shape: the
result for an item does not depend, to the last bit, on which items come with it or on the number of threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.content import FIRST_FIELD_TOKEN, TEXT_TOKEN, VECTOR_TOKEN, ContentSchema, TokenBatch
from features.text_vectors import TEXT_WIDTH

Array = NDArray[np.float32]
BLOCK_ITEMS = 8
NORM_EPSILON = 1e-5
# R2: the floor of a squared length.
LENGTH_FLOOR = 1e-4
MASKED_LOGIT = np.float32(-1e9)
# Arrays of this prefix are stacked over the transformer's layers.
STACKED = "block_"


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of the fusion transformer. Raises ValueError: a size below 1, or heads that do not divide the width."""

    width: int = 64  # of a token
    heads: int = 4
    layers: int = 3  # paper: 3
    hidden: int = 128  # of the feed-forward part
    out_width: int = 64  # of the item's vector

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.layers, self.hidden, self.out_width) < 1 or self.width % self.heads:
            raise ValueError(f"expected sizes >= 1 and heads dividing width, got {self}")


def weight_shapes(config: FusionConfig, schema: ContentSchema) -> dict[str, tuple[int, ...]]:
    """Every array of the network by name. Kernels are [in, out], those of the transformer [layers, in, out]."""
    width, hidden, layers = config.width, config.hidden, config.layers
    return {
        "text_kernel": (TEXT_WIDTH, width), "vector_kernel": (schema.vector_width, width),
        "value_text_kernel": (TEXT_WIDTH, width), "value_table": (schema.num_values, width),
        "token_bias": (schema.num_tokens, width),
        "block_attention_scale": (layers, width), "block_attention_shift": (layers, width),
        "block_query_kernel": (layers, width, width), "block_key_kernel": (layers, width, width),
        "block_value_kernel": (layers, width, width),
        "block_attended_kernel": (layers, width, width), "block_attended_bias": (layers, width),
        "block_feed_scale": (layers, width), "block_feed_shift": (layers, width),
        "block_feed_in_kernel": (layers, width, hidden), "block_feed_in_bias": (layers, hidden),
        "block_feed_out_kernel": (layers, hidden, width), "block_feed_out_bias": (layers, width),
        "pool_scale": (width,), "pool_shift": (width,),
        "projection_kernel": (width, config.out_width), "projection_bias": (config.out_width,),
    }


def fuse(batch: TokenBatch, weights: Mapping[str, Array], config: FusionConfig) -> Array:
    """Item vectors, float32[n, out_width], of unit length; zero where an item has no token. n is any number."""
    count = len(batch.text_rows)
    vectors = np.zeros((count, config.out_width), np.float32)
    for start in range(0, count, BLOCK_ITEMS):
        rows = np.minimum(np.arange(start, start + BLOCK_ITEMS), count - 1)
        block = batch._replace(text_rows=batch.text_rows[rows], value_rows=batch.value_rows[rows],
                               vectors=batch.vectors[rows], present=batch.present[rows])
        kept = min(BLOCK_ITEMS, count - start)
        vectors[start:start + kept] = fuse_block(block, weights, config)[:kept]
    vectors[~batch.present.any(axis=1)] = 0
    return vectors


def fuse_block(batch: TokenBatch, weights: Mapping[str, Array], config: FusionConfig) -> Array:
    """`fuse` for exactly BLOCK_ITEMS items; an item without a token gets an arbitrary finite vector."""
    x = tokens_of(batch, weights)
    bias = np.where(batch.present, np.float32(0), MASKED_LOGIT)[:, None, None, :]
    for layer in range(config.layers):
        w = {name.removeprefix(STACKED): array[layer] for name, array in weights.items() if name.startswith(STACKED)}
        normed = normalise(x, w["attention_scale"], w["attention_shift"])
        query, key, value = (split_heads(normed @ w[f"{name}_kernel"], config.heads) for name in ("query", "key", "value"))
        scores = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(config.width // config.heads)) + bias
        attended = merge_heads(softmax(scores) @ value)
        x = x + attended @ w["attended_kernel"] + w["attended_bias"]
        normed = normalise(x, w["feed_scale"], w["feed_shift"])
        inner = np.maximum(normed @ w["feed_in_kernel"] + w["feed_in_bias"], np.float32(0))
        x = x + inner @ w["feed_out_kernel"] + w["feed_out_bias"]
    x = normalise(x, weights["pool_scale"], weights["pool_shift"])
    real = batch.present[..., None].astype(np.float32)
    pooled = (x * real).sum(axis=1, keepdims=True) / np.maximum(real.sum(axis=1, keepdims=True), np.float32(1))
    projected: Array = (pooled @ weights["projection_kernel"] + weights["projection_bias"])[:, 0]
    lengths = np.sqrt(np.maximum(np.square(projected).sum(axis=1, keepdims=True), np.float32(LENGTH_FLOOR)))
    return np.asarray(projected / lengths, np.float32)


def tokens_of(batch: TokenBatch, weights: Mapping[str, Array]) -> Array:
    """Modality tokens [B, T, width]: each modality projected, plus a learned bias that says which token it is."""
    texts = batch.texts[batch.text_rows]
    x = np.repeat(weights["token_bias"][None], len(texts), axis=0)
    x[:, TEXT_TOKEN] += (texts[:, TEXT_TOKEN, None] @ weights["text_kernel"])[:, 0]
    if batch.vectors.shape[1]:
        x[:, VECTOR_TOKEN] += (batch.vectors[:, None] @ weights["vector_kernel"])[:, 0]
    if batch.value_rows.shape[1]:
        x[:, FIRST_FIELD_TOKEN:] += weights["value_table"][batch.value_rows]
        x[:, FIRST_FIELD_TOKEN:] += texts[:, FIRST_FIELD_TOKEN:] @ weights["value_text_kernel"]
    return x


def normalise(x: Array, scale: Array, shift: Array) -> Array:
    """Layer normalisation over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + np.float32(NORM_EPSILON)) * scale + shift, np.float32)


def softmax(scores: Array) -> Array:
    exponent = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True), np.float32)


def split_heads(x: Array, heads: int) -> Array:
    """[B, T, width] -> [B, heads, T, width / heads]; heads are contiguous column blocks."""
    count, tokens, width = x.shape
    return x.reshape(count, tokens, heads, width // heads).transpose(0, 2, 1, 3)


def merge_heads(x: Array) -> Array:
    count, heads, tokens, width = x.shape
    return x.transpose(0, 2, 1, 3).reshape(count, tokens, heads * width)
