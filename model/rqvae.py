"""The RQ-VAE, assembled: Enc, residual codebooks, Dec (SaviorRec Eq. 4-5; GateSID Eq. 1)."""

import numpy as np
import tensorflow as tf

from features.encoder import Quantiser
from features.errors import ArtefactError
from features.sid import quantise
from model.layers.rq import residual_codes
from model.layers.sinkhorn import sinkhorn_codes
from model.losses.rqvae import RqVaeLosses, rqvae_losses
from model.rqvae_config import RqVaeConfig

# Vectors that hardly differ are not stretched beyond this: what is left of them is noise.
SCALE_FLOOR = 1e-3
ENC_WEIGHTS = ("input_mean", "input_scale", "in_kernel", "in_bias", "out_kernel", "out_bias")


class RqVae(tf.Module):
    """Codes for item vectors z [B, D] of unit length.

    Enc sees z centred and divided by its mean deviation (one number for all dimensions, so that distances between items
    keep their proportions); the reconstruction is judged on z itself, whose mean square is 1 / D, for which the paper's
    weight of 1000 is made. Enc and Dec start as the identity, relu(x) - relu(-x) = x: the codebooks start on the items'
    own geometry, and training departs from there.
    """

    def __init__(self, config: RqVaeConfig, vectors: np.ndarray) -> None:
        """`vectors`: float32[n, D], from which mean and deviation are taken."""
        super().__init__()
        self.config = config
        mean = vectors.mean(axis=0)
        scale = max(float(vectors.std(axis=0).mean()), SCALE_FLOOR)
        into = orthonormal(vectors.shape[1], config.width, config.seed)
        both = np.concatenate([np.eye(config.width), -np.eye(config.width)])
        self.input_mean = tf.constant(mean, tf.float32)
        self.input_scale = tf.constant(np.full_like(mean, scale), tf.float32)
        self.in_kernel, self.in_bias = dense(np.concatenate([into, -into], axis=1))
        self.out_kernel, self.out_bias = dense(both)
        self.decode_in_kernel, self.decode_in_bias = dense(both.T)
        self.decode_out_kernel, self.decode_out_bias = dense(both @ into.T * scale, mean)
        self.codebooks = tf.Variable(tf.zeros([config.levels, config.codes, config.width]))

    def encode(self, z):
        """Enc: [B, D] -> [B, W]."""
        inner = tf.nn.relu(tf.matmul((z - self.input_mean) / self.input_scale, self.in_kernel) + self.in_bias)
        return tf.matmul(inner, self.out_kernel) + self.out_bias

    def decode(self, latents):
        """Dec: [B, W] -> [B, D]."""
        inner = tf.nn.relu(tf.matmul(latents, self.decode_in_kernel) + self.decode_in_bias)
        return tf.matmul(inner, self.decode_out_kernel) + self.decode_out_bias

    def losses(self, z, item_ids) -> RqVaeLosses:
        """Eq. 5 with balanced codes (R12); rows as in `rqvae_losses`."""
        config, encoded = self.config, self.encode(z)
        codes = residual_codes(
            encoded, self.codebooks,
            lambda cost: sinkhorn_codes(cost, config.sinkhorn_epsilon, config.sinkhorn_iterations)).codes
        return rqvae_losses(z, encoded, self.codebooks, tf.stop_gradient(codes), self.decode, item_ids,
                            config.recon_loss_weight, config.commit_loss_weight, config.temperature)

    def quantiser(self) -> Quantiser:
        """The exported half, in NumPy: what gives every published code."""
        weights = {name: tf.convert_to_tensor(getattr(self, name)).numpy() for name in ENC_WEIGHTS}
        return Quantiser(weights, self.codebooks.numpy())

    def start_from(self, old: Quantiser) -> None:
        """Take over Enc and the codebooks. Raises ArtefactError: they are of other sizes."""
        there, here = ([one.codebooks.shape, *(one.weights[name].shape for name in ENC_WEIGHTS)]
                       for one in (old, self.quantiser()))
        if there != here:
            raise ArtefactError(f"the codebook to start from has sizes {there}, expected {here}: train without --warm-start")
        self.input_mean, self.input_scale = (tf.constant(old.weights[name]) for name in ("input_mean", "input_scale"))
        for name in ENC_WEIGHTS[2:]:
            getattr(self, name).assign(old.weights[name])
        self.codebooks.assign(old.codebooks)

    def rename(self, places: np.ndarray) -> None:
        """Give each code of a level another number: code k becomes what `places[level, k]` was."""
        self.codebooks.assign(np.stack([book[place] for book, place in zip(self.codebooks.numpy(), places, strict=True)]))

    def reconstruct(self, vectors: np.ndarray) -> np.ndarray:
        """float32[n, D]: Dec of the nearest codes' sum."""
        exported = self.quantiser()
        return self.decode(quantise(exported.latents(vectors), exported.codebooks).quantised).numpy()


def orthonormal(depth: int, width: int, seed: int) -> np.ndarray:
    """float64[depth, width]: the identity, or a random rotation where the widths differ."""
    if depth == width:
        return np.eye(depth)
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(max(depth, width), min(depth, width))))
    return q if depth > width else q.T


def dense(kernel: np.ndarray, bias: np.ndarray | None = None) -> tuple[tf.Variable, tf.Variable]:
    bias = np.zeros(kernel.shape[1]) if bias is None else bias
    return tf.Variable(kernel, dtype=tf.float32), tf.Variable(bias, dtype=tf.float32)
