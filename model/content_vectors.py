"""The encoder's vectors of a codebook version, given to the rankers that hold them frozen."""

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.artefacts import read_manifest
from features.errors import ArtefactError
from features.layout import Layout
from features.names import ITEM_ID
from model.dataset import PinnedTable
from model.layers.content_table import ContentTable
from model.rankers.trunk import Trunk

ENCODER_VERSION = "encoder_version"


def content_tables(ranker: Trunk) -> list[ContentTable]:
    return [part for part in ranker.submodules if isinstance(part, ContentTable)]


def encoder_of(layout: Layout, codebook: str) -> str:
    """Raises ArtefactError: no such codebook."""
    return read_manifest(layout.codebook(codebook), kind="codebook")["encoder"]


def give_content(ranker: Trunk, layout: Layout, codebook: str, item_vectors: PinnedTable, item_index: PinnedTable) -> int:
    """Fill the content tables with the vectors of the codebook's encoder; how many items had none before.

    Raises ArtefactError: no such codebook, or no vector of its encoder; DataError: vectors that do not fit the ranker.
    """
    rows, vectors = read_vectors(item_vectors, item_index, encoder_of(layout, codebook))
    return sum(table.take(rows, vectors) for table in content_tables(ranker))


def read_vectors(
    item_vectors: PinnedTable, item_index: PinnedTable, encoder: str,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(row, vector) of every indexed item that has one, ascending by row. Raises ArtefactError: nobody has."""
    stored = item_vectors.read((ITEM_ID, "vector"), (ENCODER_VERSION, encoder))
    index = item_index.read((ITEM_ID, "row"))
    place = pc.index_in(stored.column(ITEM_ID), value_set=index.column(ITEM_ID).combine_chunks())
    known = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
    if not len(known):
        raise ArtefactError(f"no vectors of encoder {encoder} for the items of the index: run spark_jobs.sid_assignment")
    rows = index.column("row").to_numpy()[place.take(known).to_numpy().astype(np.int64)]
    order = np.argsort(rows, kind="stable")
    vectors = stored.column("vector").take(known[order])
    flat = pc.list_flatten(vectors).to_numpy()
    return rows[order].astype(np.int32), flat.reshape(len(known), -1).astype(np.float32)
