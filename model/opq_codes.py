"""OPQ codes for the rankers that read them: computed from the published vectors, since no SID holds them.

They move as little as a SID: within an encoder version the first published vector of an item stays, and a codebook's
rotation and codebooks never change. So the lake, the stream and serving know four codes an item, as every other ranker does.
"""

import numpy as np
from numpy.typing import NDArray

from features.encoder import OPQ_FILE, ContentEncoder
from features.layout import Layout
from features.spec import MISSING_CODE
from model.content_vectors import read_vectors
from model.dataset import PinnedTable
from model.rankers.assemblies import ASSEMBLIES
from model.rankers.trunk import Trunk


def reads_opq(ranker: str) -> bool:
    return any(spec.name == "item_opq_codes" for spec in ASSEMBLIES[ranker].input_list)


def has_opq(layout: Layout, codebook: str | None) -> bool:
    return codebook is not None and (layout.codebook(codebook) / OPQ_FILE).is_file()


def with_opq_codes(codes: NDArray[np.int32], layout: Layout, codebook: str, item_vectors: PinnedTable,
                   item_index: PinnedTable) -> NDArray[np.int32]:
    """int32[rows, N + S] from int32[rows, N]: each item's OPQ codes beside its SID; -1 where it has no SID or no vector.

    Raises ArtefactError: the codebook is not whole, or its encoder has no vectors in the table.
    """
    encoder = ContentEncoder.load(layout.codebook(codebook))
    rows, vectors = read_vectors(item_vectors, item_index, encoder.encoder_version)
    distinct, place = np.unique(vectors, axis=0, return_inverse=True)
    found = encoder.quantiser.opq_codes(distinct)[place.ravel()]
    opq = np.full((len(codes), found.shape[1]), MISSING_CODE, np.int32)
    known = rows < len(codes)
    opq[rows[known]] = found[known]
    opq[codes[:, 0] == MISSING_CODE] = MISSING_CODE
    return np.concatenate([codes, opq], axis=1)


def take_opq_codebooks(ranker: Trunk, layout: Layout, codebook: str) -> None:
    """Which codes resemble each other, told to a ranker that asks."""
    ranker.take_codebooks(ContentEncoder.load(layout.codebook(codebook)).quantiser.opq.codebooks)
