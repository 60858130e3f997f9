"""A codebook trained again after a catalogue has grown: cold, warm, and warm with its codes matched to the old one's.

    python -m infra.datasets prepare simulator …; python -m infra.datasets load …; python -m spark_jobs.co_click …
    python tests/benchmarks/bench_retraining.py --old 2026-10-20 --new 2026-11-15 --until 2026-11-25 [--seeds 2]

Reads <home>/lake/items and co_click_pairs; what it makes lies in <home>/runs/retraining and goes when it ends. The old
codebook knows the days before --old; a new one those before --new, with each seed. Churn: of items with a SID in the old one.
hit@30 is asked on held-out pairs, and on pairs that were first seen in [--new, --until), which no training knows.
"""

import argparse
import json
import shutil
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import tensorflow as tf  # noqa: E402

import model  # noqa: F401, E402  (chooses the Keras version)
from features.artefacts import read_manifest  # noqa: E402
from features.encoder import ContentEncoder  # noqa: E402
from features.layout import Layout  # noqa: E402
from features.names import CODEBOOK_VERSION, CODES, ITEM_ID, TABLE_CO_CLICK_PAIRS, TABLE_ITEMS, TABLE_SEMANTIC_IDS  # noqa: E402
from features.sid import decode  # noqa: E402
from infra.settings import load_settings  # noqa: E402
from model.co_click_hits import hit_at  # noqa: E402
from model.co_click_pairs import Pairs, read_pairs  # noqa: E402
from model.codebook_health import HealthLimits  # noqa: E402
from model.comparison.seed_sids import lists, write_partition  # noqa: E402
from model.encoder_training import WARM, EncoderTraining  # noqa: E402
from model.item_catalogue import distinct_contents, open_table, read_items  # noqa: E402
from model.rqvae_config import RqVaeConfig  # noqa: E402
from model.train_encoder import make_encoder  # noqa: E402
from model.train_rqvae import make_codebook  # noqa: E402

NO_LIMITS = HealthLimits()  # what is measured here is how bad it gets


def publish_old(home: Layout, own: Layout, old: date, new: date) -> str:
    """The old codebook, and SIDs of it for every item known before `new`."""
    encoder = make_encoder(home, old, None, EncoderTraining(), own)
    version = make_codebook(home, old, encoder, RqVaeConfig(), NO_LIMITS, output=own)
    give_sids(home, own, version, new)
    return version


def give_sids(home: Layout, own: Layout, version: str, as_of: date) -> None:
    """SIDs for every item known before `as_of`, as the nightly job gives them."""
    ids, items = read_items(open_table(home.table(TABLE_ITEMS)), as_of)
    codes = ContentEncoder.load(own.codebook(version)).codes(items)
    write_partition(own.table(TABLE_SEMANTIC_IDS), CODEBOOK_VERSION, version, pa.table({
        ITEM_ID: ids, CODES: lists(codes, pa.int32()), "assigned_at": pa.array([0] * len(ids), pa.timestamp("us", "UTC"))}))


def later_hits(home: Layout, own: Layout, version: str, new: date, until: date) -> dict[str, float | None]:
    """hit@30 of the encoder's vectors and of what SIDs stand for, on pairs that no day before `new` has."""
    encoder = ContentEncoder.load(own.codebook(version))
    ids, items = read_items(open_table(home.table(TABLE_ITEMS)), new)
    catalogue = distinct_contents(ids, items, encoder.schema)
    table = open_table(home.table(TABLE_CO_CLICK_PAIRS))
    number = len(catalogue.contents)
    known, later = (pair_keys(read_pairs(table, catalogue, *days), number) for days in ((None, new), (new, until)))
    fresh = np.setdiff1d(later, known)
    pairs = np.stack([fresh // number, fresh % number], axis=1)
    first = np.unique(catalogue.content_rows, return_index=True)[1]
    place = {item: n for n, item in enumerate(ids)}
    vectors, codes = encoder.encode([items[place[catalogue.item_ids[n]]] for n in first])
    return {"later pairs": len(pairs), "later encoder": hit_at(vectors, pairs),
            "later SIDs": hit_at(decode(codes, encoder.quantiser.codebooks), pairs)}


def pair_keys(pairs: Pairs, contents: int) -> np.ndarray:
    return pairs.rows[:, 0] * contents + pairs.rows[:, 1]


def retrained(home: Layout, own: Layout, old: str, days: tuple[date, date], seed: int, warm: bool) -> dict:
    """Figures of one codebook as of days[0], named after `old`."""
    shutil.rmtree(own.encoder(f"enc-{days[0]}"), ignore_errors=True)
    shutil.rmtree(own.codebook(f"cb-{days[0]}"), ignore_errors=True)
    start = old if warm else None
    training = replace(WARM if warm else EncoderTraining(), seed=seed)
    encoder = make_encoder(home, days[0], None, training, own, warm_start=start)
    version = make_codebook(home, days[0], encoder, RqVaeConfig(seed=seed), NO_LIMITS, output=own, matched_to=old,
                            warm_start=start)
    health = read_manifest(own.codebook(version))["health"]
    return {"hits": health["co_click"]["hit_at_30"] | later_hits(home, own, version, *days), "stability": health["stability"],
            "explained": health["explained_variance"], "collisions": health["collision_rate_contents"]}


def line(name: str, churn: dict, found: dict) -> str:
    hits = " ".join(f"{space} {value:.4f}" for space, value in found["hits"].items() if space != "later pairs")
    levels = " ".join(f"{share:.1%}" for share in churn["by_level"])
    return (f"{name:<21} | churn {levels}, any {churn['anywhere']:.1%} | "
            f"neighbours {found['stability']['neighbourhood_overlap']:.1%} | "
            f"hit@30 {hits} | explained {found['explained']:.1%} | collisions {found['collisions']:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("old", "new", "until"):
        parser.add_argument(f"--{name}", type=date.fromisoformat, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    tf.config.experimental.enable_op_determinism()
    home = load_settings().layout
    own = Layout(home.home / "runs" / "retraining")
    try:
        old = publish_old(home, own, given.old, given.new)
        lines = []
        for seed in range(2, 2 + given.seeds):
            for warm in (False, True):
                found = retrained(home, own, old, (given.new, given.until), seed, warm)
                print(json.dumps({"seed": seed, "warm": warm} | found), flush=True)
                name = f"{'warm' if warm else 'cold'}, seed {seed}"
                weighted = found["stability"]["by_impressions"]
                lines += [line(name, found["stability"]["as_trained"], found),
                          line(name + ", matched", found["stability"]["matched"], found)]
                lines += [line("  by impressions", weighted["matched"], found)] if weighted else []
        print("\n".join([f"{found['hits']['later pairs']:,} later pairs, {found['stability']['items']:,} items", *lines]))
    finally:
        shutil.rmtree(own.home)


if __name__ == "__main__":
    main()
