"""The RQ-VAE: it starts as the identity, exports what it computes, and balanced training fills its codes."""

import numpy as np
import pytest
import tensorflow as tf

from features.errors import ConfigError, DataError
from features.sid import quantise
from model.co_click_pairs import Pairs, no_pairs
from model.layers.rq import residual_codes
from model.nearest_codes import nearest
from model.rqvae import RqVae
from model.rqvae_config import RqVaeConfig
from model.rqvae_training import kmeans, revive_dead_codes, start_codebooks, train_rqvae

pytestmark = pytest.mark.tf
QUICK = RqVaeConfig(epochs=1, polish_epochs=1, batch_pairs=256, kmeans_iterations=3)


def clustered(contents, width=64, seed=0):
    """Unit vectors of `contents` items around 40 centres."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(40, width))[rng.integers(0, 40, contents)] + 0.3 * rng.normal(size=(contents, width))
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)


def test_fresh_enc_and_dec_are_the_identity():
    z = clustered(50)
    model = RqVae(QUICK, z)
    np.testing.assert_allclose(model.decode(model.encode(z)), z, atol=1e-6)


@pytest.mark.parametrize("width", [16, 100])
def test_other_widths_start_as_an_orthonormal_projection(width):
    z = clustered(300, width=width)
    model = RqVae(QUICK, z)
    error = np.square(model.decode(model.encode(z)) - z).sum(axis=1).mean()
    lost = 0 if width <= 64 else 1 - 64 / width
    np.testing.assert_allclose(error, lost * np.square(z - z.mean(axis=0)).sum(axis=1).mean(), rtol=0.15, atol=1e-8)


def test_the_exported_quantiser_gives_tensorflows_codes():
    z = clustered(700)
    model = RqVae(QUICK, z)
    start_codebooks(model, z)
    for variable in model.trainable_variables:
        variable.assign_add(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.02))
    exported = model.quantiser()
    np.testing.assert_allclose(exported.latents(z), model.encode(z), atol=1e-4)
    found = quantise(exported.latents(z), exported.codebooks)
    np.testing.assert_array_equal(exported.codes(z), found.codes)
    np.testing.assert_array_equal(found.codes, residual_codes(model.encode(z), model.codebooks).codes)


def test_training_fills_the_levels_keeps_the_vectors_and_is_the_same_every_time():
    z = clustered(800)
    pairs = Pairs(np.random.default_rng(0).integers(0, 800, (500, 2)), np.ones(500))
    model, again = train_rqvae(z, pairs, QUICK), train_rqvae(z, pairs, QUICK)
    codes = model.quantiser().codes(z)
    assert all(len(np.unique(codes[:, level])) > 180 for level in range(4))
    error = np.square(model.reconstruct(z) - z).sum() / np.square(z - z.mean(axis=0)).sum()
    assert error < 0.35
    first, second = model.quantiser(), again.quantiser()
    assert first.codebooks.tobytes() == second.codebooks.tobytes()
    assert all(first.weights[name].tobytes() == second.weights[name].tobytes() for name in first.weights)


def test_fewer_contents_than_codes_give_each_its_own_code():
    z = clustered(30)
    model = RqVae(QUICK, z)
    start_codebooks(model, z)
    revive_dead_codes(model, z, np.random.default_rng(0))
    codes = model.quantiser().codes(z)
    assert len(np.unique(codes[:, 0])) == 30


def test_codes_beyond_the_distinct_rows_are_never_chosen():
    x = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    centroids = kmeans(x, None, 8, 3, seed=1)
    assert centroids.shape == (8, 3)
    assert set(nearest(x, centroids)) == {0, 1, 2}


def test_dead_codes_are_revived():
    z = clustered(600)
    model = RqVae(QUICK, z)
    start_codebooks(model, z)
    codebooks = model.codebooks.numpy()
    codebooks[0, 10:] = 1e3
    model.codebooks.assign(codebooks)
    assert len(np.unique(model.quantiser().codes(z)[:, 0])) <= 10
    assert revive_dead_codes(model, z, np.random.default_rng(0)) >= 246
    assert len(np.unique(model.quantiser().codes(z)[:, 0])) > 100


@pytest.mark.parametrize("vectors", [np.zeros((0, 64), np.float32), np.full((300, 64), np.nan, np.float32)])
def test_vectors_that_cannot_be_trained_on_are_refused(vectors):
    with pytest.raises(DataError, match="expected finite vectors"):
        train_rqvae(vectors, no_pairs(), QUICK)


def test_impossible_sizes_list_every_fault():
    with pytest.raises(ConfigError, match=r"width must be positive, got 0; seed must not be negative, got -1"):
        RqVaeConfig(levels=3, width=0, seed=-1)
