"""SIDs of one seed: encoder and codebook fitted with it, before the first reported day; codes and vectors of every item.

They lie in the run's own folder. What they know is content and the co-clicks of days before `sids_as_of`; an item born later
is encoded by what was fitted before, as the nightly job does it.
"""

from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from features.artefacts import read_manifest, write_json
from features.clock import day_start_ms, from_ms
from features.encoder import ContentEncoder
from features.errors import DataError
from features.names import (
    CODEBOOK_VERSION,
    CODES,
    ITEM_ID,
    TABLE_ITEM_VECTORS,
    TABLE_ITEMS,
    TABLE_SEMANTIC_IDS,
)
from features.spec import MISSING_CODE
from model.codebook_presets import PRESETS
from model.comparison.plan import Run
from model.content_vectors import ENCODER_VERSION
from model.encoder_training import EncoderTraining
from model.item_catalogue import open_table, read_items
from model.train_encoder import make_encoder
from model.train_rqvae import make_codebook

ENCODER = EncoderTraining()


def fit(run: Run, seed: int, quantiser: str) -> None:
    """Fit what is not there yet, write SIDs and vectors, and say in `run.fitted` that it is done.

    Raises DataError: the codebook's health was refused. ArtefactError: no catalogue.
    """
    plan, sids = run.plan, run.sids(seed)
    as_of = date.fromisoformat(plan.sids_as_of)
    encoder = make_encoder(run.home, as_of, None, replace(ENCODER, seed=seed), sids, plan.versions)
    config = replace(PRESETS[quantiser], seed=seed)
    try:
        codebook = make_codebook(run.home, as_of, encoder, config, run.limits, quantiser, output=sids,
                                 versions=plan.versions)
    except DataError as fault:
        raise DataError(f"seed {seed}, codebook {quantiser} as of {as_of}: {fault}. Or compare with one codebook for all "
                        "seeds: --codebook V") from fault
    items = assign(run, seed, codebook)
    manifest = read_manifest(sids.codebook(codebook), kind="codebook")
    write_json(run.fitted(seed, quantiser), {
        "codebook": codebook, "encoder": encoder, "items": items, "rows": manifest["rows"], "config": asdict(config),
        "alignment": manifest["alignment"], "health": manifest["health"]})


def assign(run: Run, seed: int, codebook: str) -> int:
    """Write the SIDs of a codebook and the vectors of its encoder; how many items have them.

    Every item known before the run's end, as its newest row describes it; one without content has none.
    """
    sids, as_of = run.sids(seed), date.fromisoformat(run.plan.as_of)
    encoder = ContentEncoder.load(sids.codebook(codebook))
    item_ids, items = read_items(open_table(run.home.table(TABLE_ITEMS), run.plan.versions.get(TABLE_ITEMS)), as_of)
    faults = encoder.faults(items)
    kept = [n for n in range(len(items)) if n not in faults]
    vectors, codes = encoder.encode([items[n] for n in kept])
    known = np.flatnonzero(codes[:, 0] != MISSING_CODE)
    ids = pa.array([item_ids[kept[n]] for n in known], pa.string())
    write_partition(sids.table(TABLE_ITEM_VECTORS), ENCODER_VERSION, encoder.encoder_version, pa.table({
        ITEM_ID: ids, "vector": lists(vectors[known], pa.float32())}))
    assigned_at = pa.array([from_ms(day_start_ms(as_of))] * len(known), pa.timestamp("us", "UTC"))
    write_partition(sids.table(TABLE_SEMANTIC_IDS), CODEBOOK_VERSION, codebook, pa.table({
        ITEM_ID: ids, CODES: lists(codes[known], pa.int32()), "assigned_at": assigned_at}))
    return len(known)


def lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """[n, width] as a list column."""
    rows, width = values.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1) * width, pa.int32()), pa.array(values.ravel(), kind))


def write_partition(path: Path, column: str, value: str, rows: pa.Table) -> None:
    """Replace the one partition `column = value`."""
    rows = rows.append_column(column, pa.array([value] * rows.num_rows, pa.string()))
    known = {"predicate": f"{column} = '{value}'"} if DeltaTable.is_deltatable(str(path)) else {}
    write_deltalake(str(path), rows, partition_by=[column], mode="overwrite", **known)
