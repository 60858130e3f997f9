"""Train the content encoder and export it: lake/items and lake/co_click_pairs -> encoders/enc-<as-of>.

    python -m model.train_encoder --as-of 2026-11-22
    python -m model.train_encoder --as-of 2026-11-22 --from 2026-08-24 --seed 7
    python -m model.train_encoder --as-of 2026-11-22 --warm-start cb-2026-11-15

--warm-start V goes on from the encoder of codebook V, gently: what its SIDs were made of moves no more than the new pairs ask.

Without co-click pairs it learns from content alone (two partly hidden views of one item) and says so in the manifest.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import numpy as np
import tensorflow as tf

from features.artefacts import new_artefact
from features.clock import parse_as_of
from features.content import TEXT_TOKEN, ContentSchema, schema_to_json
from features.encoder import CONFIG_FILE, ContentEncoder
from features.errors import exit_code
from features.fusion import FusionConfig, fuse
from features.layout import Layout
from features.text_vectors import TEXT_MODEL
from infra.settings import load_settings
from model.co_click_hits import co_click_figures, co_click_line
from model.corpus import read_corpus
from model.encoder_training import WARM, EncoderTraining, Start, train_encoder
from model.rerun import already_made


def make_encoder(layout: Layout, as_of: date, first: date | None, training: EncoderTraining, output: Layout | None = None,
                 versions: Mapping[str, int] | None = None, warm_start: str | None = None) -> str:
    """Train and publish encoders/enc-<as_of>, under `output` where given; returns the version. `versions`: see read_corpus.
    `warm_start`: a codebook, under `output` too, from whose encoder it goes on.

    Raises GatesidError: see `read_corpus`, `already_made`, `ContentEncoder.load`.
    """
    version, fusion = f"enc-{as_of}", FusionConfig()
    inputs = {"as_of": as_of.isoformat(), "from": first and first.isoformat(),
              "config": {"fusion": asdict(fusion), "training": asdict(training)}, "warm_start": warm_start}
    artefacts = output or layout
    folder = artefacts.encoder(version)
    if already_made(folder, "encoder", inputs):
        print(f"encoder {version} exists, made from the same inputs: nothing to do", flush=True)
        return version
    corpus = read_corpus(layout, as_of, first, versions=versions)
    aligned = len(corpus.pairs.train.rows) > 0
    if not aligned:
        print("no co-click pairs: the encoder learns from content alone, and SIDs will know nothing of what is taken together. "
              "Run `python -m spark_jobs.co_click` once there are clicks, then train again", flush=True)
    start = Start(ContentEncoder.load(artefacts.codebook(warm_start))) if warm_start else None
    encoder = train_encoder(corpus.tokens, corpus.pairs.train, corpus.schema, fusion, training, start)
    arrays = encoder.arrays()
    titles = corpus.tokens.texts[corpus.tokens.text_rows[:, TEXT_TOKEN]]
    co_click = co_click_figures(corpus.pairs, text=titles, encoder=fuse(corpus.tokens, arrays, fusion))
    print(co_click_line(co_click), flush=True)
    with new_artefact(folder, kind="encoder", **inputs, reads=corpus.reads, rows=corpus.rows,
                      alignment="co_click" if aligned else "content_only", co_click=co_click) as draft:
        write_encoder(draft.path, corpus.schema, fusion, arrays)
    return version


def write_encoder(folder: Path, schema: ContentSchema, fusion: FusionConfig, arrays: dict[str, np.ndarray]) -> None:
    (folder / CONFIG_FILE).write_text(json.dumps(
        {"text_model": TEXT_MODEL, "fusion": asdict(fusion), "schema": schema_to_json(schema)}, ensure_ascii=False))
    for name, array in arrays.items():
        np.save(folder / f"encoder.{name}.npy", array, allow_pickle=False)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m model.train_encoder", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", required=True, metavar="D", help="days before D are known, D excluded")
    parser.add_argument("--from", dest="first", metavar="D0", help="first day of co-click pairs (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm-start", metavar="V", help="the codebook from whose encoder it goes on")
    parser.add_argument("--steps", type=int, help=f"batches (default: {EncoderTraining.steps}, from a warm start {WARM.steps})")
    given = parser.parse_args(argv)

    def train() -> None:
        tf.config.experimental.enable_op_determinism()
        first = parse_as_of(given.first) if given.first else None
        usual = WARM if given.warm_start else EncoderTraining()
        training = replace(usual, seed=given.seed, steps=usual.steps if given.steps is None else given.steps)
        print(make_encoder(load_settings().layout, parse_as_of(given.as_of), first, training, warm_start=given.warm_start))
    return exit_code(train)


if __name__ == "__main__":
    sys.exit(main())
