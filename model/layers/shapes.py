"""One check of a tensor's last axis, so that every layer words it alike."""

import tensorflow as tf


def expect_width(name: str, tensor: tf.Tensor, width: int, remedy: str) -> None:
    """Raises ValueError unless the last axis of `tensor` is statically `width`."""
    if tensor.shape[-1] != width:
        raise ValueError(f"`{name}` must have {width} columns, got shape {tuple(tensor.shape)}: {remedy}")


def expect_rank(name: str, tensor: tf.Tensor, axes: str) -> None:
    """Raises ValueError unless `tensor` has one axis for each letter of `axes`."""
    if tensor.shape.rank != len(axes):
        raise ValueError(f"`{name}` must have axes [{', '.join(axes)}], got shape {tuple(tensor.shape)}: reshape it")
