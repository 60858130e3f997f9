"""What every ranker shares: inputs, id tables, the ranking MLP, two tasks, one optimiser.

A ranker says in `interest` what it makes of candidate and history, and in `auxiliary_loss` what it adds to the loss. So a
difference between two rankers is their idea's, not their plumbing's.
"""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf
import tensorflow_recommenders as tfrs

from features.names import CLICKED, ORDERED
from features.spec import PADDING_ROW, RANKING_INPUTS, InputSpec
from model.config import RankerConfig, TrainConfig
from model.layers.gate import gate_stats
from model.layers.id_table import IdTable
from model.layers.match import match_columns
from model.layers.mlp import Mlp
from model.layers.sid_embedding import SidEmbedding
from model.losses.esmm import click_loss, order_loss
from model.optimisers import SplitOptimiser

HOURS, WEEKDAYS = 24, 7
# What brings the dot products of a table's vectors near 1 (layers/match.py).
ITEM_SCALE, SID_SCALE, CONTENT_SCALE = 10.0, 100.0, 3.0
REPEAT_AGE_EDGES = (1.0, 3.0, 7.0, 14.0, 28.0, 56.0)


@dataclass(frozen=True)
class TableSizes:
    """Rows of the id tables: one more than the largest row of each index."""

    items: int
    users: int


class View(NamedTuple):
    """One batch as the rankers see it: B candidates, U users, where U is B, or 1 for one user who is asked about them all."""

    features: dict[str, tf.Tensor]  # the ranker's `input_list`
    item_emb: tf.Tensor  # float[B, D]
    history_item: tf.Tensor  # float[U, L, D]
    mask: tf.Tensor  # bool[U, L], True = real
    stats: tf.Tensor  # float[B, 3], logarithms


class Match(NamedTuple):
    """A candidate's vector, what was pooled from the history in the same space, and the scale of their dot product."""

    candidate: tf.Tensor
    pooled: tf.Tensor
    scale: float


class Interest(NamedTuple):
    """What a ranker hands to the MLP, and what it keeps for its auxiliary loss."""

    vectors: list[tf.Tensor]  # float[B, *]
    matches: list[Match]
    semantic_weight: tf.Tensor | None = None  # float[B, 1]
    sid_emb: tf.Tensor | None = None  # float[B, S]
    opq_emb: tf.Tensor | None = None  # float[B, D]


class Trunk(tfrs.Model):
    """The frame of a ranker; `interest` is its picture."""

    input_list: tuple[InputSpec, ...] = RANKING_INPUTS
    activation = "relu"  # of the ranking MLP

    def __init__(self, config: RankerConfig, sizes: TableSizes, **kwargs):
        super().__init__(**kwargs)
        self.config, self.sizes = config, sizes
        self.items = IdTable(sizes.items, config.item_width, name="items")
        self.users = IdTable(sizes.users, config.user_width, name="users")
        self.mlp = Mlp(config.hidden, activation=self.activation, name="mlp")
        self.ctr_head = tf.keras.layers.Dense(1, name="ctr_head")
        self.cvr_head = tf.keras.layers.Dense(1, name="cvr_head")
        self.click_task = tfrs.tasks.Ranking(loss=PerRowLoss(lambda y, logits: click_loss(y, logits[:, 0])))
        self.order_task = tfrs.tasks.Ranking(loss=PerRowLoss(lambda y, logits: order_loss(y, logits[:, 0], logits[:, 1])))

    def interest(self, view: View) -> Interest:
        raise NotImplementedError

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        """float[], added to the ranking loss."""
        return tf.zeros([])

    def look_up(self, features: dict[str, tf.Tensor]) -> View:
        history = features["history_rows"]
        return View(
            features, self.items(features["item_row"]), self.items(history), history != PADDING_ROW,
            gate_stats(features["item_stats"]))

    def logits(self, view: View, interest: Interest) -> tf.Tensor:
        """float[B, 2]: CTR and CVR logits."""
        features, candidates = view.features, tf.shape(view.item_emb)[0]

        def for_each(column):
            return tf.broadcast_to(column, [candidates, column.shape[-1]])

        hidden = self.mlp(tf.concat([
            for_each(self.users(features["user_row"])), view.item_emb, view.stats, *interest.vectors,
            *(match_columns(*match) for match in interest.matches),
            for_each(tf.one_hot(features["hour_of_day"], HOURS)), for_each(tf.one_hot(features["day_of_week"], WEEKDAYS)),
            repeat_columns(features["repeat_count"], features["repeat_age_days"]),
            for_each(tf.math.log1p(tf.reduce_sum(tf.cast(view.mask, tf.float32), axis=-1, keepdims=True))),
        ], axis=-1))
        return tf.concat([self.ctr_head(hidden), self.cvr_head(hidden)], axis=-1)

    def call(self, features):
        """`input_list` → {"ctr": float[B], "ctcvr": float[B]} and, where there is a gate, "semantic_weight": float[B]."""
        view = self.look_up(features)
        interest = self.interest(view)
        chances = tf.sigmoid(self.logits(view, interest))
        scores = {"ctr": chances[:, 0], "ctcvr": chances[:, 0] * chances[:, 1]}
        if interest.semantic_weight is not None:
            scores["semantic_weight"] = interest.semantic_weight[:, 0]
        return scores

    def score(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What serving exports and evaluation stores; see `call`. All have the batch axis, the user's side B or 1 long."""
        return self(features)

    def compute_loss(self, inputs, training=False):
        """Mean loss of {"features", "clicked", "ordered", "order_weight"}; order_weight 0 masks the CTCVR task."""
        rows, seen = tf.shape(inputs[CLICKED])[0], self.seen(inputs["features"])
        return self.sum_of_rows(inputs, *seen) / tf.cast(rows, tf.float32) + self.auxiliary_loss(*seen)

    def seen(self, features: dict[str, tf.Tensor]) -> tuple[View, Interest]:
        view = self.look_up(features)
        return view, self.interest(view)

    def sum_of_rows(self, inputs, view: View, interest: Interest) -> tf.Tensor:
        """float[], the rows' losses of both tasks: what can be taken apart and added up again, unlike the auxiliary loss."""
        logits = self.logits(view, interest)
        loss = self.click_task(inputs[CLICKED], logits, compute_metrics=False)
        return loss + self.order_task(
            inputs[ORDERED], logits, sample_weight=inputs["order_weight"], compute_metrics=False)

    def tables(self) -> list[tf.Variable]:
        """Every embedding table, trained by the sparse optimiser. A part that an ablation leaves out was never built."""
        ids = [part.table for part in self.submodules if isinstance(part, IdTable)]
        return ids + self.sid_tables()

    def sid_tables(self) -> list[tf.Variable]:
        return [table for part in self.sid_embeddings() for table in part.tables]

    def sid_embeddings(self) -> list[SidEmbedding]:
        return [part for part in self.submodules if isinstance(part, SidEmbedding) and part.built]

    def first_column(self, part: SidEmbedding) -> int:
        """Which of an item's codes a SID embedding's first level reads (dataset.with_codes)."""
        return 0

    def optimiser(self, config: TrainConfig) -> SplitOptimiser:
        tables = self.tables()
        names = {table.name for table in tables}
        return SplitOptimiser(config, [v for v in self.trainable_variables if v.name not in names], tables)

    def build_tables(self) -> "Trunk":
        """Create every variable by one empty-handed call."""
        self({spec.name: tf.zeros([1, *spec.shape], spec.dtype) for spec in self.input_list})
        return self


class PerRowLoss(tf.keras.losses.Loss):
    """A loss of ours, float[B], as tfrs.tasks wants it: the sum over the batch, rows weighted."""

    def __init__(self, per_row):
        super().__init__(reduction=tf.keras.losses.Reduction.SUM)
        self.per_row = per_row

    def call(self, y_true, y_pred):
        return self.per_row(y_true, y_pred)


def repeat_columns(count: tf.Tensor, age_days: tf.Tensor) -> tf.Tensor:
    """How often and how long ago, float[B, 10]: log1p of both, never-taken flag, age bucket one-hot (zeros where never)."""
    never = tf.cast(age_days < 0, tf.float32)
    age = tf.maximum(age_days, 0.0)
    bucket = tf.reduce_sum(tf.cast(age[:, tf.newaxis] >= tf.constant(REPEAT_AGE_EDGES), tf.int32), axis=-1)
    buckets = tf.one_hot(bucket, len(REPEAT_AGE_EDGES) + 1) * (1 - never)[:, tf.newaxis]
    return tf.concat([tf.stack([tf.math.log1p(count), tf.math.log1p(age), never], axis=-1), buckets], axis=-1)
