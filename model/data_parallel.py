"""Several processes that learn as one: each takes its share of every batch's rows, and all apply the same sum of gradients.

TensorFlow's MultiWorkerMirroredStrategy adds up what the workers find; weights and optimiser are each worker's own, start equal
and take equal steps. (As the strategy's mirrored variables they would follow two rules: Keras's optimisers are of two kinds.)
"""

import json
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from features.errors import ArtefactError
from features.names import CLICKED
from model.learner import Learner, gradients_of
from model.optimisers import Gradients
from model.rankers.trunk import Trunk


class Workers:
    """The workers of one run, seen from one of them.

    Args:
      strategy: made before TensorFlow did anything else in this process; it knows the others' addresses.
      index: this worker's number, from 0.
    """

    def __init__(self, strategy: tf.distribute.MultiWorkerMirroredStrategy, index: int):
        self.strategy, self.index = strategy, index

    @property
    def count(self) -> int:
        return self.strategy.num_replicas_in_sync

    @property
    def first(self) -> bool:
        """The worker that keeps what the run makes."""
        return self.index == 0

    def join(self, learner: Learner, reads: dict[str, int]) -> None:
        """From here on the learner learns with the others, one batch a call.

        Raises ArtefactError: they start from other weights or read other versions of tables, and so would never agree.
        """
        self.refuse_differences(learner, reads)
        variables = learner.optimiser.variables

        def share(batch):
            return gradients_of(lambda: share_of_loss(learner.ranker, batch, self.index, self.count), variables)

        find = tf.function(share, input_signature=learner.steps.input_signature)
        apply = tf.function(learner.optimiser.apply, reduce_retracing=True)

        def step(batch):
            # Sums are taken outside of the traced functions: inside, TensorFlow wants a sum's shape to stay what it was, and
            # how many rows of a table a batch touches changes.
            loss, gradients = self.strategy.run(add_up, find(batch))
            apply(gradients)
            return loss * len(batch[CLICKED])

        learner.steps, learner.rows_a_call = step, 1

    def refuse_differences(self, learner: Learner, reads: dict[str, int]) -> None:
        mark = zlib.crc32(json.dumps(reads, sort_keys=True).encode())
        for variable in learner.ranker.variables:
            mark = zlib.crc32(np.ascontiguousarray(variable), mark)
        marks = self.strategy.run(lambda: gathered(tf.constant([mark], tf.int64))).numpy()
        if (marks != mark).any():
            raise ArtefactError(
                f"worker {self.index} begins with other weights or other versions of tables ({reads}) than the rest: "
                "let all of them read the same state folder, with nothing writing to it, and start again")


def share_of_loss(ranker: Trunk, batch: dict[str, Any], index: int, count: int) -> tf.Tensor:
    """What one worker adds to the batch's loss; the shares add up to ranker.compute_loss(batch).

    Of the rows' own losses a worker takes every count-th. An auxiliary loss may compare rows with each other: each worker
    computes it on the whole batch and counts it 1/count. It needs candidates alone, a fiftieth of what the history takes.
    """
    rows = tf.cast(tf.shape(batch[CLICKED])[0], tf.float32)
    own = tf.nest.map_structure(lambda values: values[index::count], batch)
    ranking = ranker.sum_of_rows(own, *ranker.seen(own["features"])) / rows
    return ranking + ranker.auxiliary_loss(*ranker.seen(batch["features"])) / count


def add_up(loss: tf.Tensor, gradients: Gradients) -> tuple[tf.Tensor, Gradients]:
    """Over all workers, the same in each. Rows of tables are strung together: the optimiser adds up those that repeat."""
    dense = {n: found for n, found in enumerate(gradients) if isinstance(found, tf.Tensor)}
    loss, dense = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, [loss, dense])
    sparse = {n: tf.IndexedSlices(gathered(found.values), gathered(found.indices), found.dense_shape)
              for n, found in enumerate(gradients) if isinstance(found, tf.IndexedSlices)}
    return loss, [(dense | sparse).get(n) for n in range(len(gradients))]


def gathered(values: tf.Tensor) -> tf.Tensor:
    """[n, ...] of every worker, one below the other in the order of their numbers; n may differ."""
    return tf.distribute.get_replica_context().all_gather(values, axis=0)
