"""A retrained encoder begins where the old one stands, also with a larger vocabulary, and does not run away from it."""

import numpy as np
import pytest

from features.catalogue import ItemContent
from features.content import content_keys, learn_schema, tokenise
from features.encoder import ContentEncoder
from features.errors import ArtefactError
from features.fusion import FusionConfig, fuse
from model.co_click_pairs import Pairs
from model.encoder import SaviorEnc
from model.encoder_training import EncoderTraining, Start, train_encoder
from model.encoder_warm_start import start_from

pytestmark = pytest.mark.tf
CONFIG = FusionConfig(16, 2, 1, 16, 8)
OLD = [ItemContent(f"{food} {n}", {"brand": f"brand {n % 3}"}, [0.1 * n, 1.0]) for food in ("oats", "tea") for n in range(6)]
# Brands and a field that the old catalogue did not have.
NEW = [*OLD, *(ItemContent(f"milk {n}", {"brand": f"brand {n % 5}", "colour": f"hue {n % 2}"}, [1.0, 0.1 * n])
               for n in range(8))]


@pytest.fixture(scope="module")
def old():
    schema = learn_schema(OLD)
    return ContentEncoder("cb-1", "enc-1", schema, CONFIG, SaviorEnc(CONFIG, schema, seed=1).arrays())


def test_it_gives_the_old_vectors_to_all_that_the_old_one_could_see(old):
    schema = learn_schema(NEW)
    assert schema.fields == ("brand", "colour")
    encoder = SaviorEnc(CONFIG, schema, seed=2)
    start_from(encoder, schema, old)
    seen = [ItemContent(item.title, {"brand": item.attributes["brand"]}, item.vector) for item in NEW]
    begun = ContentEncoder("enc-2", "enc-2", schema, CONFIG, encoder.arrays())
    np.testing.assert_allclose(begun.embed(seen), old.embed(seen), atol=1e-6)


def test_an_anchor_keeps_vectors_nearer_to_where_they_were(old):
    schema = learn_schema(OLD)
    tokens = tokenise(content_keys(OLD, schema), schema)
    pairs = Pairs(np.array([[n, n + 6] for n in range(6)]), np.ones(6))  # oats and tea: what the old vectors do not say
    training = EncoderTraining(steps=12, batch_pairs=8, learning_rate=0.01, token_dropout=0)

    def moved(anchor_weight):
        encoder = train_encoder(tokens, pairs, schema, CONFIG, training, Start(old, anchor_weight))
        return np.square(fuse(tokens, encoder.arrays(), CONFIG) - old.embed(OLD)).sum(axis=1).mean()

    assert moved(100.0) < moved(0.0) / 4


def test_other_sizes_are_refused(old):
    schema = learn_schema(OLD)
    other = SaviorEnc(FusionConfig(16, 2, 2, 16, 8), schema, seed=1)
    with pytest.raises(ArtefactError, match="train without --warm-start"):
        start_from(other, schema, old)
