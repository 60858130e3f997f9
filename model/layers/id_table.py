"""Embeddings of dense rows that an index gives out: they grow with the catalogue."""

import tensorflow as tf

from features.spec import OOV_ROW


class IdTable(tf.keras.layers.Layer):
    """Row → vector. Fresh rows are zero, so an id that was never trained looks exactly like the out-of-vocabulary row.

    Args:
      rows: the index's size, with its padding (0) and out-of-vocabulary (1) rows.
      width: columns.
    """

    def __init__(self, rows, width, **kwargs):
        super().__init__(**kwargs)
        if rows <= OOV_ROW:
            raise ValueError(f"`rows` must hold padding and out-of-vocabulary at least (2), got {rows}: give the index's size")
        self.rows, self.width = rows, width

    def build(self, _):
        self.table = self.add_weight(name="table", shape=[self.rows, self.width], initializer="zeros")
        self.built = True

    def call(self, rows):
        """int32[...] → float[..., width]. A row beyond the table, given out after it was made, reads the OOV row."""
        known = (rows >= 0) & (rows < self.rows)
        return tf.gather(self.table, tf.where(known, rows, OOV_ROW))

    def get_config(self):
        return super().get_config() | {"rows": self.rows, "width": self.width}
