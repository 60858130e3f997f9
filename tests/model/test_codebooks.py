"""Publishing: one atomic replacement, and only of a whole codebook."""

import json

import numpy as np
import pytest

from features.artefacts import new_artefact
from features.catalogue import ItemContent
from features.content import learn_schema, schema_to_json
from features.errors import ArtefactError
from features.fusion import FusionConfig, weight_shapes
from features.layout import Layout
from features.live_codebook import live_codebook
from features.text_vectors import TEXT_MODEL
from model.codebooks import publish


def write(layout, version):
    schema, config = learn_schema([ItemContent("oats", {})]), FusionConfig(8, 2, 1, 8, 8)
    with new_artefact(layout.codebook(version), kind="codebook", as_of="2026-11-22", encoder="enc-1") as draft:
        (draft.path / "encoder.json").write_text(json.dumps(
            {"text_model": TEXT_MODEL, "fusion": config.__dict__, "schema": schema_to_json(schema)}))
        shapes = {f"encoder.{name}": shape for name, shape in weight_shapes(config, schema).items()}
        shapes |= {"rqvae.input_mean": (8,), "rqvae.input_scale": (8,), "rqvae.in_kernel": (8, 4), "rqvae.in_bias": (4,),
                   "rqvae.out_kernel": (4, 2), "rqvae.out_bias": (2,), "codebooks": (4, 256, 2)}
        for name, shape in shapes.items():
            np.save(draft.path / f"{name}.npy", np.ones(shape, np.float32))


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    write(layout, "cb-1")
    write(layout, "cb-2")
    return layout


def test_the_published_version_is_live(layout):
    publish(layout, "cb-1")
    assert live_codebook(layout) == "cb-1"
    publish(layout, "cb-2")
    publish(layout, "cb-2")
    assert live_codebook(layout) == "cb-2"
    assert json.loads(layout.live_codebook_file.read_text())["encoder"] == "enc-1"
    assert not list(layout.live_codebook_file.parent.glob(".live*"))


def test_an_altered_codebook_is_not_published_and_the_old_one_stays(layout):
    publish(layout, "cb-1")
    file = layout.codebook("cb-2") / "codebooks.npy"
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match="altered"):
        publish(layout, "cb-2")
    with pytest.raises(ArtefactError, match="half-written"):
        publish(layout, "cb-3")
    assert live_codebook(layout) == "cb-1"


def test_no_live_codebook_says_what_to_run(tmp_path):
    with pytest.raises(ArtefactError, match="train_rqvae"):
        live_codebook(Layout(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{", '{"version": ""}', '{"version": 3}'])
def test_a_damaged_live_file_is_refused(layout, text):
    layout.live_codebook_file.write_text(text)
    with pytest.raises(ArtefactError, match="must be JSON with a version"):
        live_codebook(layout)
