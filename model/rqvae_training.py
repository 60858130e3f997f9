"""Training the RQ-VAE: codebooks start by k-means, then all of it learns with balanced codes (SaviorRec section 3.2)."""

import faiss
import numpy as np
import tensorflow as tf

from features.encoder import Quantiser
from features.errors import DataError
from features.sid import quantise
from model.co_click_pairs import Pairs, PairSampler
from model.codebook_warm_start import moved_codebooks
from model.nearest_codes import nearest
from model.progress import Progress
from model.rqvae import RqVae
from model.rqvae_config import RqVaeConfig

# K-means looks at a sample of this many contents a code; more change nothing.
POINTS_PER_CODE = 1_024


def train_rqvae(vectors: np.ndarray, pairs: Pairs, config: RqVaeConfig) -> RqVae:
    """Codes for float32[n, D] content vectors. Each epoch takes every content once, with a partner of a co-click pair, or
    with itself where it has none.

    Raises DataError: no content, or a vector that is not finite.
    """
    if not len(vectors) or not np.isfinite(vectors).all():
        raise DataError(f"expected finite vectors of at least one content, got {vectors.shape}: train the encoder again")
    rng = np.random.default_rng(config.seed)
    model = RqVae(config, vectors)
    z = tf.constant(vectors)
    sampler = PairSampler(pairs, len(vectors), rng)
    steps = -(-len(vectors) // config.batch_pairs)
    progress = Progress("rqvae", config.epochs * steps)
    step = step_function(model, z, steps)
    start_codebooks(model, vectors)
    for epoch in range(config.epochs):
        order = rng.permutation(len(vectors))
        for number in range(steps):
            first = order[number * config.batch_pairs:(number + 1) * config.batch_pairs]
            figures = step(tf.constant(np.concatenate([first, sampler.partners(first)]), tf.int32))
            done = epoch * steps + number + 1
            progress.step(done, {name: float(value) for name, value in figures.items()}, done * config.batch_pairs)
        revive_dead_codes(model, vectors, rng)
    refit_codebooks(model, vectors, config.kmeans_iterations, from_present=True)
    polish_decoder(model, vectors, rng)
    return model


def go_on(vectors: np.ndarray, config: RqVaeConfig, start: Quantiser) -> RqVae:
    """A codebook for vectors of an encoder that went on from another: Enc of `start`, whose codes follow the vectors.

    Raises ArtefactError: `start` is of other sizes.
    """
    model = RqVae(config, vectors)
    model.start_from(start)
    model.codebooks.assign(moved_codebooks(start.codebooks, start.latents(vectors)))
    polish_decoder(model, vectors, np.random.default_rng(config.seed))
    return model


def step_function(model: RqVae, z, steps: int):
    """Takes a batch's rows int[2P] and returns its losses by name."""
    config, variables = model.config, list(model.trainable_variables)
    decay = tf.keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * steps, alpha=0.05)
    optimiser = tf.keras.optimizers.Adam(decay)

    @tf.function(reduce_retracing=True)
    def step(rows):
        with tf.GradientTape() as tape:
            losses = model.losses(tf.gather(z, rows), rows)
        optimiser.apply_gradients(zip(tape.gradient(losses.total, variables), variables, strict=True))
        return {"loss": losses.total, "reconstruct": config.recon_loss_weight * losses.reconstruct,
                "commit": config.commit_loss_weight * losses.commit, "contrast": losses.contrast}

    return step


def start_codebooks(model: RqVae, vectors: np.ndarray) -> None:
    """K-means of each level's residuals."""
    refit_codebooks(model, vectors, model.config.kmeans_iterations, from_present=False)


def refit_codebooks(model: RqVae, vectors: np.ndarray, iterations: int, *, from_present: bool) -> None:
    """K-means of each level's residuals, from random contents or from the codebooks as they are.

    After training this moves each code to the middle of the contents that are nearest to it: balanced codes trained it,
    nearest codes are what will be published.
    """
    residual = model.quantiser().latents(vectors)
    codebooks = model.codebooks.numpy()
    for level, codebook in enumerate(codebooks):
        codebook[:] = kmeans(residual, codebook if from_present else None, len(codebook), iterations, model.config.seed + level)
        residual = residual - codebook[nearest(residual, codebook)]
    model.codebooks.assign(codebooks)


def kmeans(x: np.ndarray, start: np.ndarray | None, codes: int, iterations: int, seed: int) -> np.ndarray:
    """float32[codes, W] centroids. Where x has no more distinct rows than codes, they are those rows, and the codes left
    over repeat the first row: as ties go to the lowest code, they are never chosen."""
    distinct = np.unique(x, axis=0)
    if len(distinct) <= codes:
        return np.concatenate([distinct, np.repeat(distinct[:1], codes - len(distinct), axis=0)])
    search = faiss.Kmeans(x.shape[1], codes, niter=iterations, seed=seed, min_points_per_centroid=1,
                          max_points_per_centroid=POINTS_PER_CODE)
    search.train(x, init_centroids=start)
    return search.centroids


def revive_dead_codes(model: RqVae, vectors: np.ndarray, rng: np.random.Generator) -> int:
    """Put each code that no content is nearest to onto the residual of a random content; returns how many were dead."""
    codebooks = model.codebooks.numpy()
    residual = model.quantiser().latents(vectors)
    revived = 0
    for codebook in codebooks:
        dead = np.setdiff1d(np.arange(len(codebook)), nearest(residual, codebook))
        codebook[dead] = residual[rng.integers(0, len(residual), len(dead))]
        revived += len(dead)
        residual = residual - codebook[nearest(residual, codebook)]
    model.codebooks.assign(codebooks)
    return revived


def polish_decoder(model: RqVae, vectors: np.ndarray, rng: np.random.Generator) -> None:
    """Fit Dec to the codes as published; Enc and codebooks stay. It serves the reconstruction figures alone."""
    exported = model.quantiser()
    quantised = tf.constant(quantise(exported.latents(vectors), exported.codebooks).quantised)
    z = tf.constant(vectors)
    variables = [model.decode_in_kernel, model.decode_in_bias, model.decode_out_kernel, model.decode_out_bias]
    optimiser = tf.keras.optimizers.Adam(model.config.learning_rate)

    @tf.function(reduce_retracing=True)
    def step(rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model.decode(tf.gather(quantised, rows)) - tf.gather(z, rows)))
        optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(model.config.polish_epochs):
        order = rng.permutation(len(vectors)).astype(np.int32)
        for start in range(0, len(order), 2 * model.config.batch_pairs):
            step(tf.constant(order[start:start + 2 * model.config.batch_pairs]))
