"""The exported encoder in NumPy: same bytes in any batch, refusals of broken folders, every kind of content."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.artefacts import new_artefact
from features.catalogue import ItemContent
from features.content import learn_schema, schema_to_json
from features.encoder import ContentEncoder
from features.errors import ArtefactError, DataError
from features.fusion import FusionConfig, weight_shapes
from features.text_vectors import TEXT_MODEL

ITEMS = [ItemContent(f"{taste} {food} {size}", {"brand": brand, "department": food}, vector)
         for food, size in (("oats", "500 g"), ("milk", "1 l"), ("tea", None), ("drill", "18 v"))
         for taste, brand in (("plain", "National"), ("vanilla", "Private"), ("bitter", "69"))
         for vector in (None, [0.1, -0.2, 0.3])]
ITEMS += [ItemContent(None, {"brand": "National"}), ItemContent("Haferflocken 燕麦 🥣", {}),
          ItemContent(None, {}, [1.0, 0.0, 2.0])]
EMPTY = [ItemContent(None, {}), ItemContent("", {}), ItemContent(" \t ", {"colour": "red"})]
CONFIG = FusionConfig(width=16, heads=2, layers=2, hidden=24, out_width=12)


def write(target, *, kind, config=CONFIG, **changed):
    """An encoder or codebook folder of random weights; `changed` replaces arrays by file stem."""
    schema, rng = learn_schema(ITEMS), np.random.default_rng(7)

    def random(*shape):
        return rng.normal(0, 0.5, shape).astype(np.float32)

    arrays = {f"encoder.{name}": random(*shape) for name, shape in weight_shapes(CONFIG, schema).items()}
    if kind == "codebook":
        arrays |= {"rqvae.input_mean": random(12), "rqvae.input_scale": np.abs(random(12)) + 1,
                   "rqvae.in_kernel": random(12, 20), "rqvae.in_bias": random(20),
                   "rqvae.out_kernel": random(20, 8), "rqvae.out_bias": random(8), "codebooks": random(4, 256, 8)}
    with new_artefact(target, kind=kind, as_of="2026-11-22", encoder="enc-7") as draft:
        (draft.path / "encoder.json").write_text(json.dumps(
            {"text_model": TEXT_MODEL, "fusion": config.__dict__, "schema": schema_to_json(schema)}))
        for name, array in (arrays | changed).items():
            np.save(draft.path / f"{name}.npy", array, allow_pickle=array.dtype == object)
    return target


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return ContentEncoder.load(write(tmp_path_factory.mktemp("codebooks") / "cb-1", kind="codebook"))


def test_vectors_have_unit_length_and_codes_are_in_range(encoder):
    vectors, codes = encoder.encode(ITEMS)
    assert vectors.shape == (len(ITEMS), encoder.width)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert codes.shape == (len(ITEMS), 4)
    assert codes.dtype == np.int32
    assert codes.min() >= 0
    assert codes.max() < 256
    np.testing.assert_array_equal(encoder.embed(ITEMS), vectors)
    np.testing.assert_array_equal(encoder.codes(ITEMS), codes)
    assert (encoder.version, encoder.encoder_version) == ("cb-1", "enc-7")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(ITEMS + EMPTY), min_size=1, max_size=40), st.data())
def test_neither_batch_nor_order_nor_duplicates_change_a_byte(encoder, items, data):
    vectors, codes = encoder.encode(items)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(items)), max_size=4)))
    bounds = [0, *cuts, len(items)]
    parts = [encoder.encode(items[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
    assert np.concatenate([part[0] for part in parts]).tobytes() == vectors.tobytes()
    assert np.concatenate([part[1] for part in parts]).tobytes() == codes.tobytes()
    order = data.draw(st.permutations(range(len(items))))
    shuffled = encoder.encode([items[n] for n in order])
    assert shuffled[0].tobytes() == vectors[list(order)].tobytes()
    assert shuffled[1].tobytes() == codes[list(order)].tobytes()


def test_items_without_content_have_no_code_and_no_vector(encoder):
    vectors, codes = encoder.encode([ITEMS[0], *EMPTY])
    assert not vectors[1:].any()
    assert (codes[1:] == -1).all()
    assert (codes[0] >= 0).all()


def test_no_items_give_empty_results(encoder):
    assert encoder.embed([]).shape == (0, 12)
    assert encoder.codes([]).shape == (0, 4)


def test_every_modality_alone_is_enough_and_each_matters(encoder):
    brand, vector = {"brand": "National"}, [0.1, 0.2, 0.3]
    found = encoder.embed([ItemContent("oats", {}), ItemContent(None, brand), ItemContent(None, {}, vector),
                           ItemContent("oats", brand, vector)])
    assert len({row.tobytes() for row in found}) == 4


def test_an_unseen_value_is_told_apart_by_its_words(encoder):
    found = encoder.embed([ItemContent(None, {"brand": name}) for name in ("Oat Barons", "Milk Barons", "4711", "4712")])
    assert found[0].tobytes() != found[1].tobytes()
    assert found[2].tobytes() == found[3].tobytes()


def test_a_title_of_a_megabyte_is_encoded(encoder):
    assert (encoder.codes([ItemContent("oats 🥣 " * 150_000, {})]) >= 0).all()


@pytest.mark.parametrize("bad", [[0.1, float("nan"), 0.2], [0.1], ["a", "b", "c"]])
def test_a_broken_vector_is_named_before_anything_is_encoded(encoder, bad):
    items = [ITEMS[0], ItemContent("fine title", {}, bad)]
    assert list(encoder.faults(items)) == [1]
    with pytest.raises(DataError, match="item at 1: vector must"):
        encoder.codes(items)


def test_a_mere_encoder_has_vectors_and_no_codes(tmp_path):
    encoder = ContentEncoder.load(write(tmp_path / "enc-1", kind="encoder"))
    assert encoder.embed(ITEMS[:2]).any()
    assert encoder.encoder_version == "enc-7"
    with pytest.raises(ArtefactError, match="without codebooks"):
        encoder.codes(ITEMS[:2])


def test_an_altered_byte_is_refused(tmp_path):
    folder = write(tmp_path / "cb-1", kind="codebook")
    file = folder / "codebooks.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"codebooks.npy is missing or altered"):
        ContentEncoder.load(folder)


def test_half_a_folder_is_refused(tmp_path):
    folder = write(tmp_path / "cb-1", kind="codebook")
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtefactError, match="half-written"):
        ContentEncoder.load(folder)


@pytest.mark.parametrize(("changed", "message"), [
    ({"codebooks": np.zeros((4, 256), np.float32)}, "expected codebooks"),
    ({"codebooks": np.full((4, 256, 8), np.nan, np.float32)}, "finite float32"),
    ({"codebooks": np.zeros((4, 256, 9), np.float32)}, r"out_kernel is \(20, 8\), expected \(20, 9\)"),
    ({"rqvae.in_kernel": np.zeros((12, 20), np.float64)}, "finite float32, got float64"),
    ({"encoder.pool_scale": np.zeros(5, np.float32)}, r"pool_scale is \(5,\), expected \(16,\)"),
    ({"encoder.pool_scale": np.array([{}], object)}, "pickle"),
    ({"config": FusionConfig(width=8, heads=2, layers=2, hidden=24, out_width=12)}, "expected"),
])
def test_broken_arrays_are_refused(tmp_path, changed, message):
    with pytest.raises(ArtefactError, match=message):
        ContentEncoder.load(write(tmp_path / "cb-1", kind="codebook", **changed))


def test_another_kind_of_folder_is_refused(tmp_path):
    with new_artefact(tmp_path / "m-1", kind="model"):
        pass
    with pytest.raises(ArtefactError, match="expected an encoder or a codebook .* found a model"):
        ContentEncoder.load(tmp_path / "m-1")


def test_text_vectors_of_another_model_are_refused(tmp_path, monkeypatch):
    folder = write(tmp_path / "cb-1", kind="codebook")
    monkeypatch.setattr("features.encoder.TEXT_MODEL", "another")
    with pytest.raises(ArtefactError, match="text vectors of"):
        ContentEncoder.load(folder)


@pytest.mark.parametrize("sizes", [{"width": 0}, {"width": 10, "heads": 4}, {"layers": 0}])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="heads dividing width"):
        FusionConfig(**sizes)
