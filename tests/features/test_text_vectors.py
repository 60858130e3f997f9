"""Text vectors: a function of the text alone, offline, whatever the text is."""

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import MAX_TITLE_LENGTH
from features.text_vectors import TEXT_WIDTH, clean_text, text_model, text_vectors


def test_near_texts_are_nearer_than_far_ones():
    oats, porridge, drill = text_vectors(["rolled oats 500 g", "porridge oats 1 kg", "cordless power drill"])
    assert oats @ porridge > oats @ drill + 0.2


def test_vectors_have_unit_length_and_no_text_is_the_zero_vector():
    vectors = text_vectors(["milk", "", "whole milk, 1 l"])
    assert vectors.shape == (3, TEXT_WIDTH)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)


texts = st.lists(st.text(max_size=40).map(clean_text), max_size=12)


@settings(max_examples=40, deadline=None)
@given(texts, st.randoms())
def test_neither_batch_nor_order_changes_a_bit(batch, random):
    whole = text_vectors(batch)
    order = list(range(len(batch)))
    random.shuffle(order)
    assert text_vectors([batch[n] for n in order]).tobytes() == whole[order].tobytes()
    for text, vector in zip(batch, whole, strict=True):
        assert text_vectors([text]).tobytes() == vector.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_every_text_has_one_clean_spelling(text):
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert np.isfinite(text_vectors([cleaned])).all()


@pytest.mark.parametrize(("text", "cleaned"), [
    ("  Rolled\tOats\n500 G ", "rolled oats 500 g"), ("ＯＡＴＳ", "oats"), ("Straße", "strasse"), (None, ""), ("   ", ""),
    ("bad \ud83d half", "bad half"), ("a\u0000b", "a b"), ("🥣 燕麦", "🥣 燕麦")])
def test_spellings(text, cleaned):
    assert clean_text(text) == cleaned


def test_a_title_of_a_megabyte_is_cut_and_costs_milliseconds():
    long = "oats and milk " * 75_000
    cleaned = clean_text(long)
    assert len(cleaned) <= MAX_TITLE_LENGTH
    np.testing.assert_array_equal(text_vectors([cleaned]), text_vectors([clean_text(long[:MAX_TITLE_LENGTH + 1])]))


def test_the_model_loads_without_a_network(monkeypatch):
    def no_network(*arguments, **options):
        raise AssertionError("the text model must not open a connection")
    monkeypatch.setattr(socket, "socket", no_network)
    text_model.cache_clear()
    assert text_vectors(["oats"]).any()
