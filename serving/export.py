"""Checkpoint → SavedModel with the signature of signature.py, its id indices and golden requests.

    python -m serving.export --ranker gatesid --as-of 2026-11-20 [--seed 1]     → models/gatesid/2026112001
    python -m serving.export --ranker best --as-of 2026-11-20        the better one of reports/evaluation-2026-11-20
    python -m serving.export --ranker best --as-of 2026-11-20 --candidate cb-2026-11-20   the same, with a codebook to switch to

The folder holds the variables that scoring reads and no more (no optimiser slots). A version is YYYYMMDDNN: the day of
--as-of and a number that no ranker has used for that day, since all are promoted under one model name. The same
checkpoint exported again gives the version it has.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from features.artefacts import MANIFEST, Draft, new_artefact, read_manifest, sha256
from features.clock import parse_as_of
from features.errors import ArtefactError, GatesidError
from features.layout import Layout
from features.names import ITEM_ID, TABLE_ITEM_INDEX, TABLE_USER_INDEX, USER_ID
from features.spec import contract_hash
from infra.settings import load_settings
from model.config import BASE
from serving.best_ranker import BEST, best_ranker
from serving.entity_index import ITEM_FILE, USER_FILE, EntityIndex
from serving.golden import TOLERANCE, golden_inputs, largest_difference, read_golden, write_golden
from serving.loaded_model import LoadedModel
from serving.signature import OUTPUTS, SIGNATURE, Tensors, repeat_rows, tensor_specs

MODEL_KIND = "model"


class ScoringModule(tf.Module):
    """What is saved: one traced function and exactly the variables it reads.

    Args:
      ranker: has score(features) → {"ctr", "ctcvr"[, "semantic_weight"]}: float32[C] each.
    """

    def __init__(self, ranker: Any) -> None:
        super().__init__(name="scoring")

        def score(**features: tf.Tensor) -> dict[str, tf.Tensor]:
            scores = ranker.score(features)
            return {name: tf.reshape(scores[name], [-1]) for name in OUTPUTS if name in scores}

        self.signature = tf.function(score).get_concrete_function(**tensor_specs())
        self.scoring_variables = list(self.signature.variables)


def write_saved_model(ranker: Any, folder: Path) -> None:
    module = ScoringModule(ranker)
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.signature})
    (folder / "assets.extra").mkdir()


def score_in_memory(ranker: Any, inputs: Tensors) -> Tensors:
    """The ranker's own answer to inputs of the signature's shapes."""
    scores = ranker.score({name: tf.constant(values) for name, values in repeat_rows(inputs).items()})
    return {name: np.asarray(scores[name]).reshape(-1) for name in OUTPUTS if name in scores}


def check_exported(folder: Path) -> float:
    """The largest difference of the saved model's scores from the golden ones. Raises ArtefactError: above tolerance."""
    model = LoadedModel(folder, 0)
    try:
        difference = largest_difference(read_golden(folder), model.predict)
    finally:
        model.close()
    if not difference <= TOLERANCE:
        raise ArtefactError(f"{folder} scores its golden requests {difference:.2e} apart from the expected values, "
                            f"allowed is {TOLERANCE:.0e}: export the model again")
    return difference


def fill(draft: Draft, ranker: Any, items: EntityIndex, users: EntityIndex) -> None:
    """Everything of a model folder but its manifest, and the manifest's findings."""
    write_saved_model(ranker, draft.path)
    items.save(draft.path / ITEM_FILE)
    users.save(draft.path / USER_FILE)
    requests = golden_inputs(user_rows=ranker.sizes.users, item_rows=ranker.sizes.items)
    write_golden(draft.path, [(inputs, score_in_memory(ranker, inputs)) for inputs in requests])
    draft.manifest["golden_difference"] = check_exported(draft.path)
    draft.manifest["rows"] = {"items": len(items), "users": len(users)}


def read_index(layout: Layout, table: str, column: str, version: int, rows: int) -> EntityIndex:
    """The ids of an index table, at the version the model was trained with, that the model's table of `rows` rows covers.

    Raises ArtefactError: the table or that version of it is gone.
    """
    path = layout.table(table)
    try:
        found = DeltaTable(str(path), version=version).to_pyarrow_table(columns=[column, "row"])
    except (DeltaError, OSError) as fault:
        raise ArtefactError(f"{path} cannot be read at version {version}, with which the model was trained ({fault}): "
                            "restore the table, or train again") from fault
    ids, numbers = found[column].to_numpy(), found["row"].to_numpy()
    covered = numbers < rows
    return EntityIndex(ids[covered], numbers[covered])


def versions_of_day(layout: Layout, day: int) -> list[Path]:
    """Every export of that day, of all rankers."""
    return [path for path in layout.home.glob(f"models/*/{day}[0-9][0-9]") if (path / MANIFEST).is_file()]


def export_ranker(layout: Layout, ranker_name: str, as_of: str, seed: int, candidate: str | None = None,
                  ) -> tuple[int, dict[str, Any]]:
    """(version, manifest) of the export of this checkpoint, made now or before.

    `candidate`: the checkpoint that goes on with this codebook; a ranker without SIDs has the one it has.
    """
    from model.checkpoints import restore

    trained_in = layout.candidate(candidate) if candidate and ranker_name != BASE else layout
    checkpoint = trained_in.checkpoint(ranker_name, seed, as_of)
    read_manifest(checkpoint)
    source = {"path": str(checkpoint.relative_to(layout.home)), "sha256": sha256(checkpoint / MANIFEST)}
    day = int(as_of.replace("-", ""))
    exported = versions_of_day(layout, day)
    for folder in exported:
        manifest = read_manifest(folder, kind=MODEL_KIND)
        if manifest["checkpoint"] == source and manifest["contract_hash"] == contract_hash():
            return int(folder.name), manifest
    number = max((int(folder.name) % 100 for folder in exported), default=0) + 1
    if number > 99:
        raise ArtefactError(f"99 models of {as_of} were exported already, a version has two digits for that: delete old ones")
    version = day * 100 + number
    restored = restore(checkpoint)
    sizes = restored.ranker.sizes
    reads = {table: restored.manifest["reads"][table] for table in (TABLE_ITEM_INDEX, TABLE_USER_INDEX)}
    items = read_index(layout, TABLE_ITEM_INDEX, ITEM_ID, reads[TABLE_ITEM_INDEX], sizes.items)
    users = read_index(layout, TABLE_USER_INDEX, USER_ID, reads[TABLE_USER_INDEX], sizes.users)
    with new_artefact(
        layout.model(ranker_name, version), kind=MODEL_KIND, version=version, ranker=ranker_name, seed=seed, as_of=as_of,
        codebook_version=restored.manifest["codebook_version"], contract_hash=contract_hash(), checkpoint=source,
        labels=restored.manifest["training"]["labels"], reads=reads,
    ) as draft:
        fill(draft, restored.ranker, items, users)
    return version, draft.manifest


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m serving.export", description="Export a trained ranker as a SavedModel.")
    parser.add_argument("--ranker", required=True, help="base, gatesid, or best: the better one of that day's evaluation")
    parser.add_argument("--as-of", required=True, help="the checkpoint: trained on every day before this UTC day")
    parser.add_argument("--candidate", metavar="V", help="the ranker that `train_ranker --candidate` took to codebook V")
    parser.add_argument("--seed", type=int, help="of the training run (default: [training] seed)")
    flags = parser.parse_args(argv)
    try:
        settings = load_settings()
        as_of = parse_as_of(flags.as_of).isoformat()
        seed = settings.training.seed if flags.seed is None else flags.seed
        ranker = best_ranker(settings.layout, as_of) if flags.ranker == BEST else flags.ranker
        version, manifest = export_ranker(settings.layout, ranker, as_of, seed, flags.candidate)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    rows = manifest["rows"]
    print(f"{ranker} seed {seed} as of {as_of}: {rows['items']:,} items, {rows['users']:,} users, "
          f"codebook {manifest['codebook_version']}, exported against in-memory {manifest['golden_difference']:.1e}")
    print(settings.layout.model(ranker, version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
