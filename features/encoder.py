"""Content to vectors and SIDs: the exported encoder, in NumPy, the same for the nightly job and for the stream.

    encoder = ContentEncoder.load(layout.codebook("cb-2026-11-22"))
    vectors = encoder.embed(items)     # float32[n, width], zero where there is no content
    codes = encoder.codes(items)       # int32[n, 4], -1 where there is no content

A folder holds `encoder.json` (sizes, fields, vocabulary), `encoder.<weight>.npy` and, if it is a codebook version,
`rqvae.<weight>.npy`, `codebooks.npy` and, where it has OPQ codes, `opq.<array>.npy`. An item's code depends on its content
and the folder alone: any batch, any order and any number of threads give the same bytes on one machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.artefacts import read_manifest
from features.catalogue import ItemContent
from features.content import ContentSchema, content_faults, content_keys, schema_from_json, tokenise
from features.errors import ArtefactError
from features.fusion import BLOCK_ITEMS, FusionConfig, fuse, weight_shapes
from features.sid import Opq, check_codebooks, encode
from features.spec import MISSING_CODE
from features.text_vectors import TEXT_MODEL

KINDS = ("encoder", "codebook")
CONFIG_FILE, CODEBOOKS_FILE = "encoder.json", "codebooks.npy"
ROTATION_FILE, OPQ_FILE = "opq.rotation.npy", "opq.codebooks.npy"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Quantiser:
    """The RQ-VAE's inference half, Enc and its codebooks; or RQ-OPQ's, whose Enc is the identity."""

    weights: Mapping[str, Array]
    codebooks: Array  # [N, K, W]
    opq: Opq | None = None  # SMILE's further codes; no SID holds them

    def latents(self, vectors: Array) -> Array:
        """Enc(z), float32[n, W] from float32[n, D], item by item in blocks of one shape."""
        out = np.empty((len(vectors), self.codebooks.shape[2]), np.float32)
        w = self.weights
        for start in range(0, len(vectors), BLOCK_ITEMS):
            rows = np.minimum(np.arange(start, start + BLOCK_ITEMS), len(vectors) - 1)
            x = ((vectors[rows] - w["input_mean"]) / w["input_scale"])[:, None]
            inner = np.maximum(x @ w["in_kernel"] + w["in_bias"], np.float32(0))
            kept = min(BLOCK_ITEMS, len(vectors) - start)
            out[start:start + kept] = (inner @ w["out_kernel"] + w["out_bias"])[:kept, 0]
        return out

    def codes(self, vectors: Array) -> NDArray[np.int32]:
        """int32[n, N]. Raises ValueError: a vector that is not finite."""
        return encode(self.latents(vectors), self.codebooks).codes

    def opq_codes(self, vectors: Array) -> NDArray[np.int32]:
        """int32[n, S], of what the first `opq.after` levels leave over. Raises ArtefactError: the codebook has none."""
        if self.opq is None:
            raise ArtefactError("this codebook has no OPQ codes: train one with --preset smile")
        return self.opq.encode(encode(self.latents(vectors), self.codebooks[:self.opq.after]).left_over).codes


class ContentEncoder:
    """One loaded encoder or codebook version."""

    def __init__(self, version: str, encoder_version: str, schema: ContentSchema, config: FusionConfig,
                 weights: Mapping[str, Array], quantiser: Quantiser | None = None) -> None:
        self.version = version  # of the folder
        self.encoder_version = encoder_version  # of the vectors; the folder's own where it is an encoder
        self.schema = schema
        self.config = config
        self.weights = weights
        self.quantiser = quantiser

    @classmethod
    def load(cls, folder: Path) -> "ContentEncoder":
        """Read and verify an encoder or codebook folder.

        Raises ArtefactError: the manifest, a checksum, the configuration or an array's shape is not as written.
        """
        manifest = read_manifest(folder, verify=True)
        if manifest.get("kind") not in KINDS:
            raise ArtefactError(f"expected an encoder or a codebook at {folder}, found a {manifest.get('kind')}: "
                                "point to another folder")
        try:
            schema, config = read_config(folder)
            weights = read_arrays(folder, "encoder", weight_shapes(config, schema))
            quantiser = read_quantiser(folder, config.out_width) if manifest["kind"] == "codebook" else None
        except (KeyError, TypeError, ValueError, OSError) as fault:
            raise ArtefactError(f"{folder} is not a whole encoder ({fault}): make the artefact again") from fault
        return cls(folder.name, str(manifest.get("encoder", folder.name)), schema, config, weights, quantiser)

    @property
    def width(self) -> int:
        return self.config.out_width

    def faults(self, items: Sequence[ItemContent]) -> dict[int, str]:
        """Position -> why that item cannot be encoded (vector of another width, NaN, text that is no text)."""
        return content_faults(items, self.schema)

    def embed(self, items: Sequence[ItemContent]) -> Array:
        """float32[n, width] of unit length, the zero vector where an item has no content that this encoder knows.

        Raises DataError: items that cannot be encoded, each named (`faults` lists them without raising).
        """
        return self.encode(items)[0]

    def codes(self, items: Sequence[ItemContent]) -> NDArray[np.int32]:
        """SIDs, int32[n, 4]; -1 at every level where an item has no content. Raises DataError as `embed`."""
        _, codes = self.encode(items)
        if codes is None:
            raise ArtefactError(f"{self.version} is an encoder without codebooks: load a folder of codebooks/")
        return codes

    def encode(self, items: Sequence[ItemContent]) -> tuple[Array, NDArray[np.int32] | None]:
        """Vectors and codes in one pass; equal contents are encoded once. Codes are None for a mere encoder."""
        keys = content_keys(items, self.schema)
        distinct = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        rows = np.fromiter((distinct[key] for key in keys), np.int64, len(keys))
        contents = list(distinct)
        vectors = fuse(tokenise(contents, self.schema), self.weights, self.config)
        if self.quantiser is None:
            return vectors[rows], None
        codes = self.quantiser.codes(vectors)
        codes[[row for row, key in enumerate(contents) if key.is_empty()]] = MISSING_CODE
        return vectors[rows], codes[rows]


def read_config(folder: Path) -> tuple[ContentSchema, FusionConfig]:
    given = json.loads((folder / CONFIG_FILE).read_text())
    if given["text_model"] != TEXT_MODEL:
        raise ValueError(f"it was trained on text vectors of {given['text_model']}, installed are those of {TEXT_MODEL}")
    return schema_from_json(given["schema"]), FusionConfig(**given["fusion"])


def read_arrays(folder: Path, part: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    arrays = {name: read_array(folder / f"{part}.{name}.npy") for name in shapes}
    wrong = [f"{name} is {arrays[name].shape}, expected {shape}"
             for name, shape in shapes.items() if arrays[name].shape != shape]
    if wrong:
        raise ValueError("; ".join(wrong))
    return arrays


def read_array(path: Path) -> Array:
    array = np.load(path, allow_pickle=False)
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise ValueError(f"{path.name} must hold finite float32, got {array.dtype}")
    # One memory layout whatever the file says: BLAS may round differently for Fortran order.
    return np.ascontiguousarray(array)


def read_quantiser(folder: Path, vector_width: int) -> Quantiser:
    codebooks = read_array(folder / CODEBOOKS_FILE)
    check_codebooks(codebooks)
    hidden, width = len(read_array(folder / "rqvae.in_bias.npy")), codebooks.shape[2]
    shapes = {"input_mean": (vector_width,), "input_scale": (vector_width,), "in_kernel": (vector_width, hidden),
              "in_bias": (hidden,), "out_kernel": (hidden, width), "out_bias": (width,)}
    opq = Opq(read_array(folder / ROTATION_FILE), read_array(folder / OPQ_FILE)) if (folder / OPQ_FILE).exists() else None
    return Quantiser(read_arrays(folder, "rqvae", shapes), codebooks, opq)
