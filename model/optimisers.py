"""AdamW for dense layers, sparse Adagrad for tables.

Adam's moments decay for rows that a batch does not touch: its time grows with the table and it over-moves rare ids. Adagrad
touches the rows of the batch alone.
"""

import tensorflow as tf

from model.config import TrainConfig

Gradients = list[tf.Tensor | tf.IndexedSlices | None]  # None: a masked task has no use for that variable


def present(gradients: Gradients, variables: list[tf.Variable]) -> list[tuple[tf.Tensor | tf.IndexedSlices, tf.Variable]]:
    return [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]


class SplitOptimiser:
    """Applies one step; its state is the two optimisers' variables, by name."""

    def __init__(self, config: TrainConfig, dense: list[tf.Variable], tables: list[tf.Variable]):
        self.dense, self.tables, self.first_accumulator = dense, tables, config.table_accumulator
        self.adamw = tf.keras.optimizers.AdamW(config.dense_rate, weight_decay=config.weight_decay, jit_compile=False)
        self.adagrad = tf.keras.optimizers.legacy.Adagrad(
            config.table_rate, initial_accumulator_value=config.table_accumulator)
        self.adamw.build(dense)
        self.adagrad._create_all_weights(tables)

    @property
    def variables(self) -> list[tf.Variable]:
        """What it trains, in the order of the gradients that it wants."""
        return [*self.dense, *self.tables]

    def apply(self, gradients: Gradients) -> None:
        self.apply_to_tables(self.tables, self.apply_to_dense(gradients))

    def apply_to_dense(self, gradients: Gradients) -> Gradients:
        """The dense layers' half of a step; returns the gradients of the tables."""
        dense, of_tables = gradients[:len(self.dense)], gradients[len(self.dense):]
        self.adamw.apply_gradients(present(dense, self.dense))
        return of_tables

    def apply_to_tables(self, tables: list[tf.Variable], gradients: Gradients) -> None:
        """A step of the tables given, some or all; everything else stays."""
        self.adagrad.apply_gradients(present(gradients, tables))

    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint keeps: Adagrad's sums under their table's name, AdamW's step count and moments by position
        (Keras's names for them are not unique)."""
        moments = [variable for variable in self.adamw.variables if variable is not self.adamw._learning_rate]
        return {table.name: self.adagrad.get_slot(table, "accumulator") for table in self.tables} | {
            f"adamw/{n:03d}": variable for n, variable in enumerate(moments)}
