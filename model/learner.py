"""A ranker, its optimiser, and the two traced functions that a day needs: score it, learn from it.

TensorFlow is called once for many small batches: in a step of 128 rows, calling it is as much work as the step.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from features.errors import DataError
from features.names import CLICKED, ORDERED
from model.config import TrainConfig
from model.dataset import Arrays, Day, batches
from model.optimisers import Gradients, SplitOptimiser
from model.rankers.trunk import Trunk

SCORING_BATCH = 8192
ROWS_A_CALL = 65_536  # of learning; about 1 kB a row with its history's codes


def gradients_of(loss: Callable[[], tf.Tensor], variables: list[tf.Variable]) -> tuple[tf.Tensor, Gradients]:
    with tf.GradientTape() as tape:
        value = loss()
    return value, tape.gradient(value, variables)


class Diverged(DataError):
    """Training came to a loss that is no number."""


@dataclass
class Learner:
    ranker: Trunk
    optimiser: SplitOptimiser
    training: TrainConfig
    learnt: str = ""  # the last ds this model has learnt from
    rows_a_call: int = field(default_factory=lambda: ROWS_A_CALL)
    steps: Any = field(init=False)
    sid_steps: Any = field(init=False)
    score: Any = field(init=False)
    compiled_dense_step: Any = field(init=False)

    def __post_init__(self) -> None:
        def tensor(kind, *shape):
            return tf.TensorSpec([None, *shape], kind)

        features = {spec.name: tensor(spec.dtype, *spec.shape) for spec in self.ranker.input_list}
        labelled = {"features": features} | {name: tensor("float32") for name in (CLICKED, ORDERED, "order_weight")}
        self.compiled_dense_step = tf.function(self.dense_step, jit_compile=True)
        self.score = tf.function(self.ranker.score, input_signature=[features])
        self.steps = tf.function(self.every_step, input_signature=[labelled])
        self.sid_steps = tf.function(self.every_sid_step, input_signature=[labelled])

    def every_step(self, rows):
        return self.in_batches(rows, self.one_step)

    def every_sid_step(self, rows):
        return self.in_batches(rows, self.one_sid_step)

    def in_batches(self, rows, step):
        """Learn from the rows in batches, in the order given. Returns the sum of the rows' losses."""
        count, size, total = tf.shape(rows[CLICKED])[0], self.training.batch_size, tf.zeros([])
        full = count - count % size
        for start in tf.range(0, full, size):
            # Their shape is known, which XLA needs.
            batch = tf.nest.map_structure(
                lambda values, at=start: tf.ensure_shape(values[at:at + size], [size, *values.shape[1:]]), rows)
            total += step(batch) * size
        if full < count:
            total += step(tf.nest.map_structure(lambda values: values[full:], rows)) * tf.cast(count - full, tf.float32)
        return total

    def one_step(self, batch):
        full = batch[CLICKED].shape[0] is not None
        dense_step = self.compiled_dense_step if full and self.training.compiled else self.dense_step
        loss, of_tables = dense_step(batch)
        self.optimiser.apply_to_tables(self.optimiser.tables, of_tables)  # by rows touched, how many XLA does not know
        return loss

    def dense_step(self, batch):
        """A step of the dense layers. Returns the loss and the tables' gradients."""
        loss, gradients = gradients_of(lambda: self.ranker.compute_loss(batch, training=True), self.optimiser.variables)
        return loss, self.optimiser.apply_to_dense(gradients)

    def one_sid_step(self, batch):
        tables = self.ranker.sid_tables()
        loss, gradients = gradients_of(lambda: self.ranker.compute_loss(batch, training=True), tables)
        self.optimiser.apply_to_tables(tables, gradients)
        return loss

    def predict(self, day: Day, codes: NDArray[np.int32]) -> Arrays:
        """Scores of every row, in the day's order.

        Raises DataError: the model has learnt from this day or a later one, so its scores would know their labels.
        """
        if day.ds <= self.learnt:
            raise DataError(f"a day is scored before it is learnt from; this model has learnt up to {self.learnt} and was "
                            f"given {day.ds}: score it by an earlier checkpoint")
        parts = [{name: value.numpy() for name, value in self.score(features).items()}
                 for features, _ in batches(day, codes, SCORING_BATCH)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def learn(self, day: Day, codes: NDArray[np.int32], seed: int) -> float:
        """One pass over the day in an order given by (seed, day). Returns the mean loss. Raises Diverged: it is not finite."""
        loss = self.one_pass(self.steps, day, codes, seed)
        self.learnt = max(self.learnt, day.ds)
        return loss

    def relearn(self, day: Day, codes: NDArray[np.int32], seed: int) -> float:
        """A pass that moves the SID tables alone, over a day from which the rest has learnt. Returns and raises as `learn`."""
        return self.one_pass(self.sid_steps, day, codes, seed)

    def one_pass(self, steps, day: Day, codes: NDArray[np.int32], seed: int) -> float:
        order_weight, total = float(ORDERED in self.training.labels), 0.0
        batch_size = self.training.batch_size
        for features, rows in batches(day, codes, batch_size * max(1, self.rows_a_call // batch_size), seed):
            total += float(steps({
                "features": features, CLICKED: day.clicked[rows].astype(np.float32),
                ORDERED: day.ordered[rows].astype(np.float32), "order_weight": np.full(len(rows), order_weight, np.float32)}))
        if not np.isfinite(total):
            raise Diverged(f"the loss of {day.ds} is {total}: train with lower rates (now {self.training.dense_rate} for dense "
                           f"layers, {self.training.table_rate} for tables), or look for values beyond all measure in that day")
        return total / len(day)
