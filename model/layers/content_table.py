"""Frozen content vectors by item row, centred: where SaviorRec's z comes from."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from features.errors import DataError
from features.spec import FIRST_ROW


class ContentTable(tf.keras.layers.Layer):
    """Row → unit vector from the centre of the catalogue; zeros where an item has no content, or no row here yet.

    Centred, since an encoder's vectors share a large mean: their cosines would all be high, and differences between items
    drown in it. Centre and vectors are set once and stay as they are in every later increment of one encoder version; nothing
    trains them.

    Args:
      rows: the item index's size.
      width: D, that of the encoder's vectors.
    """

    def __init__(self, rows, width, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.width = rows, width

    def build(self, _):
        self.table = self.add_weight(name="table", shape=[self.rows, self.width], initializer="zeros", trainable=False)
        self.centre = self.add_weight(name="centre", shape=[self.width], initializer="zeros", trainable=False)
        self.built = True

    def call(self, rows):
        """int32[...] → float[..., D]."""
        known = (rows >= FIRST_ROW) & (rows < self.rows)
        return tf.gather(self.table, tf.where(known, rows, 0))

    def take(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> int:
        """Add the vectors of the rows that have none yet; returns how many. The first call sets the centre.

        Raises DataError: vectors of another width, or not finite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise DataError(f"expected content vectors of width {self.width}, got shape {vectors.shape}: "
                            "set content_width to the encoder's, or use the encoder it was set for")
        if not np.isfinite(vectors).all():
            raise DataError("content vectors hold NaN or infinity: the encoder version is broken, train it again")
        table, centre = self.table.numpy(), self.centre.numpy()
        if not centre.any() and len(vectors):
            centre = vectors.mean(axis=0)
            self.centre.assign(centre)
        usable = (rows >= FIRST_ROW) & (rows < self.rows)
        new = usable & ~table[np.where(usable, rows, 0)].any(axis=1)
        moved = vectors[new] - centre
        table[rows[new]] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6)
        self.table.assign(table)
        return int(new.sum())

    def clear(self) -> None:
        """Forget centre and vectors, which another encoder's cannot be mixed with."""
        for held in (self.table, self.centre):
            held.assign(tf.zeros_like(held))

    def get_config(self):
        return super().get_config() | {"rows": self.rows, "width": self.width}
