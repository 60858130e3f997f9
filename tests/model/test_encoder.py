"""SaviorEnc in TensorFlow: the network of the NumPy forward pass, masks, and what training hides."""

import numpy as np
import pytest
import tensorflow as tf

from features.catalogue import ItemContent
from features.content import content_keys, learn_schema, tokenise
from features.errors import ConfigError
from features.fusion import FusionConfig, fuse, weight_shapes
from model.co_click_pairs import Pairs, no_pairs
from model.encoder import SaviorEnc, TokenTable
from model.encoder_training import EncoderTraining, hide, train_encoder
from model.losses.co_click import pair_infonce

pytestmark = pytest.mark.tf
SMALL = FusionConfig(width=16, heads=2, layers=2, hidden=24, out_width=12)
ITEMS = [ItemContent(f"{kind} {n}" if n % 5 else None, {"kind": kind, "maker": str(n % 7)}, [n / 40, 1.0] if n % 3 else None)
         for n in range(40) for kind in ("oats", "tea")]


@pytest.fixture(scope="module")
def schema():
    return learn_schema(ITEMS)


@pytest.fixture(scope="module")
def tokens(schema):
    return tokenise(content_keys(ITEMS, schema), schema)


def test_numpy_gives_what_tensorflow_gives(schema, tokens):
    encoder = SaviorEnc(SMALL, schema, seed=3)
    rng = np.random.default_rng(0)
    for variable in encoder.trainable_variables:
        variable.assign_add(rng.normal(0, 0.2, variable.shape))
    expected = encoder(**TokenTable(tokens).rows(np.arange(len(ITEMS))))
    assert encoder.arrays().keys() == weight_shapes(SMALL, schema).keys()
    np.testing.assert_allclose(fuse(tokens, encoder.arrays(), SMALL), expected, atol=1e-5)
    np.testing.assert_allclose(tf.norm(expected, axis=1), 1, atol=1e-5)


def test_a_masked_modality_changes_nothing(schema, tokens):
    encoder = SaviorEnc(SMALL, schema, seed=3)
    inputs = TokenTable(tokens).rows(np.arange(8))
    absent = ~inputs["present"].numpy()
    assert absent.any()
    noise = np.random.default_rng(1).normal(size=inputs["texts"].shape).astype(np.float32)
    changed = {**inputs, "texts": tf.where(absent[..., None], noise, inputs["texts"])}
    np.testing.assert_allclose(encoder(**changed), encoder(**inputs), atol=1e-6)
    np.testing.assert_array_less(1e-3, np.abs(encoder(**{**inputs, "texts": noise}) - encoder(**inputs)).max(axis=1))


def test_hiding_leaves_every_item_something():
    present = tf.constant(np.random.default_rng(0).random((500, 4)) < 0.5)
    shown = hide(present, 0.6, tf.constant([1, 2]))
    assert not np.any(shown & ~present)
    np.testing.assert_array_equal(tf.reduce_any(shown, 1), tf.reduce_any(present, 1))
    assert np.sum(shown) < 0.8 * np.sum(present)  # 0.4, and the last token of many


def test_training_brings_pairs_together(schema, tokens):
    oats = [n for n, item in enumerate(ITEMS) if item.attributes["kind"] == "oats"]
    tea = [n for n, item in enumerate(ITEMS) if item.attributes["kind"] == "tea"]
    across = np.array(list(zip(sorted(oats)[:20], sorted(tea)[:20], strict=True)))
    pairs = Pairs(across, np.ones(20))
    training = EncoderTraining(steps=60, batch_pairs=16, own_pair_share=0.0, token_dropout=0.0, learning_rate=0.01)
    encoder = train_encoder(tokens, pairs, schema, SMALL, training)
    before = fuse(tokens, SaviorEnc(SMALL, schema, training.seed).arrays(), SMALL)
    after = fuse(tokens, encoder.arrays(), SMALL)

    def loss(z):
        first, second = across.T
        return float(tf.reduce_mean(pair_infonce(z[first], z[second], tf.constant(first), tf.constant(second))))

    assert loss(after) < loss(before) - 0.5


def test_without_pairs_it_learns_from_content_alone_and_the_same_every_time(schema, tokens):
    short = EncoderTraining(steps=5, batch_pairs=8)
    first, second = (train_encoder(tokens, no_pairs(), schema, SMALL, short).arrays() for _ in range(2))
    assert np.isfinite(fuse(tokens, first, SMALL)).all()
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), name


def test_impossible_training_lists_every_fault():
    with pytest.raises(ConfigError, match=r"steps must be positive, got 0; token_dropout must be in \[0, 1\), got 1"):
        EncoderTraining(steps=0, token_dropout=1)
