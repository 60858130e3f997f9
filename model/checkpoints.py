"""A trained ranker as an immutable folder: weights, optimiser slots, configuration, what it belongs to.

Only NumPy arrays by variable name are stored, so that a table that grew with its index is restored by copying its old rows,
weights and slots alike, bit for bit.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from features.artefacts import new_artefact, read_manifest, write_json
from features.errors import ArtefactError, CodebookMismatch
from features.spec import contract_hash
from model.config import RankerConfig
from model.layers.content_table import ContentTable
from model.layers.id_table import IdTable
from model.optimisers import SplitOptimiser
from model.rankers.assemblies import ASSEMBLIES
from model.rankers.trunk import TableSizes, Trunk

KIND = "checkpoint"
WEIGHTS, SLOTS, PROGRESS = "weights.npz", "slots.npz", "progress.json"


@dataclass(frozen=True)
class Restored:
    ranker: Trunk
    config: RankerConfig
    manifest: dict[str, Any]


def fresh_ranker(config: RankerConfig, sizes: TableSizes, seed: int) -> Trunk:
    """An untrained ranker; the same seed gives the same weights."""
    tf.keras.utils.set_random_seed(seed)
    return ASSEMBLIES[config.ranker](config, sizes, name=config.ranker).build_tables()


def save(folder: Path, ranker: Trunk, optimiser: SplitOptimiser, *, codebook: str | None, progress: list[dict[str, Any]],
         **manifest: Any) -> None:
    """Publish a checkpoint. `manifest` adds what the run read (as_of, seed, training, reads, …).

    Raises ArtefactError: the folder exists, or the disk failed.
    """
    sizes = {"items": ranker.sizes.items, "users": ranker.sizes.users}
    with new_artefact(folder, kind=KIND, ranker=ranker.config.to_json(), contract_hash=contract_hash(),
                      codebook_version=codebook, tables=sizes, **manifest) as draft:
        np.savez(draft.path / WEIGHTS, **arrays(weights_by_name(ranker)))
        np.savez(draft.path / SLOTS, **arrays(optimiser.state()))
        write_json(draft.path / PROGRESS, progress)


def restore(folder: Path, sizes: TableSizes | None = None, codebook: str | None = None) -> Restored:
    """A ranker as it was saved, its id tables grown to `sizes` where given (fresh rows are zero).

    Args:
      codebook: the version the caller has SIDs of; None asks for nothing.
    Raises:
      ArtefactError: absent, half-written, altered, or larger than `sizes`.
      CodebookMismatch: trained on another codebook version, or on another list of inputs.
    """
    manifest = check(folder, codebook)
    config = RankerConfig.from_json(manifest["ranker"])
    stored = TableSizes(**manifest["tables"])
    ranker = fresh_ranker(config, sizes or stored, seed=0)
    with np.load(folder / WEIGHTS) as values:
        fill(weights_by_name(ranker), values, grown_names(ranker), folder)
    return Restored(ranker, config, manifest)


def restore_slots(folder: Path, ranker: Trunk, optimiser: SplitOptimiser) -> None:
    """The optimiser's state; fresh rows of a grown table keep the initial accumulator. Raises ArtefactError."""
    with np.load(folder / SLOTS) as values:
        fill(optimiser.state(), values, grown_names(ranker), folder)


def check(folder: Path, codebook: str | None = None) -> dict[str, Any]:
    """The manifest of a checkpoint that fits this code and this codebook; raises as `restore` does."""
    manifest = read_manifest(folder, kind=KIND)
    if manifest["contract_hash"] != contract_hash():
        raise CodebookMismatch(
            f"{folder} was trained on inputs {manifest['contract_hash']}, this code has {contract_hash()}: "
            "train a new checkpoint, or use the code version of its manifest")
    trained_on = manifest["codebook_version"]
    if codebook is not None and trained_on is not None and trained_on != codebook:
        raise CodebookMismatch(
            f"{folder} was trained on codebook {trained_on}, got {codebook}: its SID tables mean nothing there; "
            f"use --codebook {trained_on}, go on from it with --warm-start, or train from a day without a checkpoint")
    return manifest


def weights_by_name(ranker: Trunk) -> dict[str, tf.Variable]:
    named = {variable.name: variable for variable in ranker.variables}
    if len(named) != len(ranker.variables):
        raise ArtefactError(f"variables of {ranker.name} share names: give each of its layers its own")
    return named


def grown_names(ranker: Trunk) -> set[str]:
    """The variables whose rows follow an index."""
    return {part.table.name for part in ranker.submodules if isinstance(part, IdTable | ContentTable)}


def arrays(variables: dict[str, tf.Variable]) -> dict[str, NDArray]:
    return {name: variable.numpy() for name, variable in variables.items()}


def fill(variables: dict[str, tf.Variable], values: Any, may_grow: set[str], folder: Path) -> None:
    """Assign stored arrays to variables; the names in `may_grow` may have more rows now."""
    if faults := sorted(set(variables) ^ set(values.files)):
        raise ArtefactError(f"{folder} does not fit this code, which differs in {', '.join(faults)}: train it again")
    for name, variable in variables.items():
        old = values[name]
        if old.shape == tuple(variable.shape):
            variable.assign(old)
        elif name in may_grow and old.shape[1:] == tuple(variable.shape)[1:] and len(old) < variable.shape[0]:
            variable.assign(np.concatenate([old, variable.numpy()[len(old):]]))
        else:
            raise ArtefactError(
                f"{folder} has {name} of shape {old.shape}, expected {tuple(variable.shape)} "
                "(an index only grows): restore its index, or train it again")
