"""The RQ-VAE's loss (SaviorRec Eq. 5): reconstruct + commit + contrast."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from model.layers.rq import chosen_vectors
from model.losses.co_click import TEMPERATURE, pair_infonce

RECON_LOSS_WEIGHT = 1000.0
COMMIT_LOSS_WEIGHT = 0.5


class RqVaeLosses(NamedTuple):
    """Scalars, and the reconstruction they judge."""

    z_hat: tf.Tensor  # [B, D]
    reconstruct: tf.Tensor
    commit_encoder: tf.Tensor
    commit_codebook: tf.Tensor
    commit: tf.Tensor
    contrast: tf.Tensor
    total: tf.Tensor


def rqvae_losses(z, encoded, codebooks, codes, decode: Callable[[tf.Tensor], tf.Tensor], item_ids,
                 recon_loss_weight: float = RECON_LOSS_WEIGHT, commit_loss_weight: float = COMMIT_LOSS_WEIGHT,
                 temperature: float = TEMPERATURE) -> RqVaeLosses:
    """Eq. 5 on a batch of co-click pairs: rows 0..P-1 are the pairs' first items, rows P..2P-1 their second ones.

    The decoder is fed straight through: its gradient passes the quantiser unchanged, so reconstruction and contrast
    train Enc and Dec and leave the codebooks alone. Level n's codebook learns from its own residual only (R14).

    Args:
      z: float[B, D], B = 2P item vectors.
      encoded: float[B, W], Enc(z).
      codebooks: float[N, K, W]; codes: int[B, N], given (by Sinkhorn in training).
      decode: Dec, [B, W] -> [B, D].
      item_ids: int[B].
    Raises:
      ValueError: an odd batch.
    """
    batch = z.shape[0]
    if batch is not None and batch % 2:
        raise ValueError(f"a batch holds pairs, first items then second items: expected an even number of rows, got {batch}")
    chosen = chosen_vectors(codes, codebooks)
    partial = tf.cumsum(chosen, axis=1)
    left = encoded[:, None] - tf.concat([tf.zeros_like(chosen[:, :1]), partial[:, :-1]], 1)
    # One mean a level over batch and width, summed over levels.
    commit_encoder = tf.reduce_sum(tf.reduce_mean(tf.square(encoded[:, None] - tf.stop_gradient(partial)), axis=[0, 2]))
    commit_codebook = tf.reduce_sum(tf.reduce_mean(tf.square(tf.stop_gradient(left) - chosen), axis=[0, 2]))
    z_hat = decode(encoded + tf.stop_gradient(partial[:, -1] - encoded))
    reconstruct = tf.reduce_mean(tf.square(z - z_hat))
    first, second = tf.split(z_hat, 2)
    contrast = tf.reduce_mean(pair_infonce(first, second, *tf.split(item_ids, 2), temperature))
    commit = commit_encoder + commit_codebook
    total = recon_loss_weight * reconstruct + commit_loss_weight * commit + contrast
    return RqVaeLosses(z_hat, reconstruct, commit_encoder, commit_codebook, commit, contrast, total)
