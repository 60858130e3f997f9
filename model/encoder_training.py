"""Training SaviorEnc on co-click pairs (SaviorRec Eq. 3)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from features.content import ContentSchema, TokenBatch
from features.encoder import ContentEncoder
from features.errors import ConfigError
from features.fusion import FusionConfig, fuse
from model.co_click_pairs import Pairs, PairSampler
from model.encoder import SaviorEnc, TokenTable
from model.encoder_warm_start import start_from
from model.losses.co_click import TEMPERATURE, pair_infonce
from model.progress import Progress


@dataclass(frozen=True)
class EncoderTraining:
    """Raises ConfigError: every fault, listed."""

    steps: int = 300
    batch_pairs: int = 256  # SaviorRec: 4096
    learning_rate: float = 0.002  # falls to 0 along a cosine; SaviorRec: 0.0001, on encoders that were trained before
    temperature: float = TEMPERATURE
    token_dropout: float = 0.2  # share of modalities hidden, so that none is indispensable
    # Share of pairs that are two views of one content, each with other modalities hidden: what no co-click speaks of keeps
    # its place among its likes. Ours; without it a category's products drift apart on Complete Journey.
    own_pair_share: float = 0.25
    # Times the log of how often an item is drawn that is taken from its logits (losses/co_click.py). At 1 the vectors also
    # learn what sells: on Complete Journey twice the hits in all, and none more where popularity does not answer.
    share_correction: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        faults = [f"{name} must be positive, got {getattr(self, name)}"
                  for name in ("steps", "batch_pairs", "learning_rate", "temperature") if getattr(self, name) <= 0]
        if not 0 <= self.share_correction <= 1:
            faults.append(f"share_correction must be in [0, 1], got {self.share_correction}")
        faults += [f"{name} must be in [0, 1), got {getattr(self, name)}"
                   for name in ("token_dropout", "own_pair_share") if not 0 <= getattr(self, name) < 1]
        if faults:
            raise ConfigError("; ".join(faults))


# What a warm start needs: it has learnt already, and every step moves vectors that SIDs were made of.
WARM = EncoderTraining(steps=150, learning_rate=0.0005)


class Start(NamedTuple):
    """Where a warm start begins."""

    encoder: ContentEncoder
    anchor_weight: float = 10.0  # of the squared distance of a vector to the one that this encoder gives


def train_encoder(tokens: TokenBatch, pairs: Pairs, schema: ContentSchema, config: FusionConfig,
                  training: EncoderTraining, start: Start | None = None) -> SaviorEnc:
    """An encoder after `steps` batches. Without pairs it learns from content alone: two partly hidden views of one item.
    With `start` it goes on from a published encoder. Raises ArtefactError: see `start_from`.
    """
    encoder = SaviorEnc(config, schema, training.seed)
    table = TokenTable(tokens)
    anchor = tf.zeros([])
    if start is not None:
        start_from(encoder, schema, start.encoder)
        anchor = tf.constant(fuse(tokens, encoder.arrays(), config))
    rng = np.random.default_rng(training.seed)
    sampler = PairSampler(pairs, len(tokens.text_rows), rng)
    log_share = tf.constant(training.share_correction * np.log(sampler.shares(training.own_pair_share)), tf.float32)
    decay = tf.keras.optimizers.schedules.CosineDecay(training.learning_rate, training.steps)
    optimiser = tf.keras.optimizers.Adam(decay)
    variables = list(encoder.trainable_variables)

    @tf.function
    def step(pair, seed):
        first, second = pair[:, 0], pair[:, 1]
        with tf.GradientTape() as tape:
            inputs = table.rows(tf.concat([first, second], 0))
            inputs["present"] = hide(inputs["present"], training.token_dropout, seed)
            z = encoder(**inputs)
            share = tf.gather(log_share, tf.concat([first, second], 0)) if training.share_correction else None
            loss = tf.reduce_mean(pair_infonce(*tf.split(z, 2), first, second, training.temperature, share))
            if start is not None:  # first items as they are: a hidden token moves a vector by itself
                moved = tf.reduce_sum(tf.square(encoder(**table.rows(first)) - tf.gather(anchor, first)), axis=1)
                loss += start.anchor_weight * tf.reduce_mean(moved)
        optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    progress = Progress("encoder", training.steps)
    for number in range(training.steps):
        pair = sampler.draw(training.batch_pairs, training.own_pair_share)
        loss = step(tf.constant(pair, tf.int32), tf.constant([training.seed, number]))
        progress.step(number + 1, {"loss": float(loss)}, training.batch_pairs * (number + 1))
    return encoder


def hide(present, share: float, seed):
    """`present` [B, T] with a random share of tokens hidden, but never the whole of an item."""
    kept = present & (tf.random.stateless_uniform(tf.shape(present), seed) >= share)
    return tf.where(tf.reduce_any(kept, axis=1, keepdims=True), kept, present)
