"""A SID is the same wherever it is computed: in TensorFlow at training, in NumPy from the folder, in any process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import model  # noqa: F401  (chooses the Keras version, before TensorFlow is imported)
from features.artefacts import new_artefact
from features.catalogue import ItemContent
from features.content import content_keys, learn_schema, tokenise
from features.encoder import ContentEncoder
from features.fusion import FusionConfig, fuse

pytestmark = pytest.mark.tf
ROOT = Path(__file__).resolve().parents[2]
ITEMS = [ItemContent(f"{kind} number {n}", {"kind": kind, "maker": str(n % 11)})
         for n in range(60) for kind in ("oats", "tea", "soap", "drill", "bread")]

ENCODE = """
import sys
from pathlib import Path
from features.catalogue import ItemContent
from features.encoder import ContentEncoder
items = [ItemContent(f"{kind} number {n}", {"kind": kind, "maker": str(n % 11)})
         for n in range(60) for kind in ("oats", "tea", "soap", "drill", "bread")]
vectors, codes = ContentEncoder.load(Path(sys.argv[1])).encode(items)
sys.stdout.write(vectors.tobytes().hex() + codes.tobytes().hex())
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, encoder, rqvae): a whole codebook version and the TensorFlow objects it was exported from."""
    from model.encoder import SaviorEnc
    from model.rqvae import RqVae
    from model.rqvae_config import RqVaeConfig
    from model.rqvae_training import start_codebooks
    from model.train_rqvae import write_codebook

    schema, config = learn_schema(ITEMS), FusionConfig(width=32, heads=4, layers=3, hidden=48, out_width=64)
    tokens = tokenise(content_keys(ITEMS, schema), schema)
    encoder = SaviorEnc(config, schema, seed=5)
    rqvae = RqVae(RqVaeConfig(), vectors := fuse(tokens, encoder.arrays(), config))
    start_codebooks(rqvae, vectors)
    rng = np.random.default_rng(2)
    for variable in rqvae.trainable_variables:
        variable.assign_add(rng.normal(0, 0.03, variable.shape))
    folder = tmp_path_factory.mktemp("home")
    source = folder / "enc-1"
    with new_artefact(source, kind="encoder", as_of="2026-11-22") as draft:
        write_encoder_files(draft.path, schema, config, encoder)
    with new_artefact(folder / "cb-1", kind="codebook", as_of="2026-11-22", encoder="enc-1") as draft:
        write_codebook(draft.path, source, rqvae.quantiser())
    return folder / "cb-1", tokens, encoder, rqvae


def write_encoder_files(folder, schema, config, encoder):
    from model.train_encoder import write_encoder

    write_encoder(folder, schema, config, encoder.arrays())


def test_codes_from_the_folder_equal_tensorflows(trained):
    from model.encoder import TokenTable
    from model.layers.rq import residual_codes

    folder, tokens, encoder, rqvae = trained
    z = encoder(**TokenTable(tokens).rows(np.arange(len(ITEMS))))
    vectors, codes = ContentEncoder.load(folder).encode(ITEMS)
    np.testing.assert_allclose(vectors, z, atol=1e-5)
    np.testing.assert_array_equal(codes, residual_codes(rqvae.encode(z), rqvae.codebooks).codes)
    assert len(np.unique(codes, axis=0)) > 200


@pytest.mark.parametrize("threads", ["1", "4"])
def test_another_process_with_other_threads_gives_the_same_bytes(trained, threads):
    folder = trained[0]
    limits = {name: threads for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    there = subprocess.run([sys.executable, "-c", ENCODE, str(folder)], cwd=ROOT, env=os.environ | limits, check=True,
                           capture_output=True, text=True, timeout=120)
    vectors, codes = ContentEncoder.load(folder).encode(ITEMS)
    assert there.stdout == vectors.tobytes().hex() + codes.tobytes().hex()
