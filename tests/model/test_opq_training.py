"""RQ-OPQ fitted: exact where codes suffice, better than RQ alone, the exported half equal to the fitted one."""

import numpy as np
import pytest

from features.encoder import read_quantiser
from features.errors import ConfigError, DataError
from features.sid import quantise

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def vectors():
    """1500 unit vectors of 8 loose groups; dimensions are correlated, so that a rotation has something to find."""
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(1500, 16)) @ (rng.normal(size=(16, 16)) * np.geomspace(1, 0.1, 16))
    z = (rng.normal(size=(8, 16)) * 3)[rng.integers(0, 8, 1500)] + mixed
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(vectors):
    from model.opq_training import RqOpqConfig, train_rq_opq

    return train_rq_opq(vectors, RqOpqConfig(codes=32, opq_codes=32, kmeans_iterations=10, rotation_iterations=10))


def error(vectors, reconstruction):
    return float(np.square(vectors - reconstruction).sum(axis=1).mean())


def test_every_level_and_the_opq_explain_more(vectors, fitted):
    after = [error(vectors, quantise(vectors, fitted.codebooks[:levels]).quantised) for levels in range(1, 5)]
    assert after == sorted(after, reverse=True)
    fine = error(vectors, fitted.reconstruct_fine(vectors))
    assert fine < after[3]  # two sub-codebooks of 32 say more of a residual than one level of 32


def test_the_fitted_rotation_is_better_than_none(vectors):
    from features.sid import Opq
    from model.opq_training import RqOpqConfig, fit_rotation
    from model.rqvae_training import kmeans

    def left_over(rotation):
        books = np.stack([kmeans(np.ascontiguousarray(part), None, 32, 20, 1)
                          for part in np.split(vectors @ rotation, 2, axis=1)])
        return error(vectors, Opq(rotation, books).encode(vectors).reconstructed)

    rotation = fit_rotation(vectors, RqOpqConfig(opq_codes=32))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(16), atol=1e-6)
    assert left_over(rotation) < left_over(np.eye(16, dtype=np.float32))


def test_the_exported_half_is_the_fitted_one_bit_for_bit(vectors, fitted, tmp_path):
    from model.train_rqvae import write_codebook

    source = tmp_path / "encoder"
    source.mkdir()
    (source / "encoder.json").write_text("{}")
    write_codebook(tmp_path, source, fitted.quantiser())
    read = read_quantiser(tmp_path, 16)
    np.testing.assert_array_equal(read.latents(vectors), vectors)
    np.testing.assert_array_equal(read.codes(vectors), quantise(vectors, fitted.codebooks).codes)
    left = quantise(vectors, fitted.codebooks).residuals[:, 3]
    np.testing.assert_array_equal(read.opq_codes(vectors), fitted.opq.encode(left).codes)
    np.testing.assert_array_equal(read.opq_codes(vectors[7:9]), read.opq_codes(vectors)[7:9])


def test_the_same_seed_gives_the_same_codes(vectors):
    from model.opq_training import RqOpqConfig, train_rq_opq

    config = RqOpqConfig(codes=16, opq_codes=16, kmeans_iterations=3, rotation_iterations=3)
    one, other = (train_rq_opq(vectors, config).quantiser() for _ in range(2))
    np.testing.assert_array_equal(one.opq_codes(vectors), other.opq_codes(vectors))
    np.testing.assert_array_equal(one.codes(vectors), other.codes(vectors))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_contents_than_codes_are_exact(vectors, count):
    from model.opq_training import RqOpqConfig, train_rq_opq

    few = np.repeat(vectors[:count], 3, axis=0)
    model = train_rq_opq(few, RqOpqConfig(codes=32, opq_codes=32))
    np.testing.assert_allclose(model.reconstruct_fine(few), few, atol=1e-6)
    assert len(np.unique(model.quantiser().codes(few), axis=0)) == count


@pytest.mark.parametrize(("bad", "message"), [
    (np.zeros((0, 16), np.float32), "at least one content"), (np.full((3, 16), np.nan, np.float32), "finite"),
    (np.zeros((3, 15), np.float32), "do not divide vectors of width 15")])
def test_vectors_that_cannot_be_fitted_are_refused(bad, message):
    from model.opq_training import RqOpqConfig, train_rq_opq

    with pytest.raises(DataError, match=message):
        train_rq_opq(bad, RqOpqConfig())


def test_impossible_sizes_list_every_fault():
    from model.opq_training import RqOpqConfig

    with pytest.raises(ConfigError, match="codes must be positive, got 0; opq_after must not exceed the 2 levels, got 3"):
        RqOpqConfig(levels=2, codes=0)
