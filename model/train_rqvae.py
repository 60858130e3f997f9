"""Train a quantiser on an encoder's vectors, judge it, export it: encoders/<V> -> codebooks/cb-<as-of>[-<preset>].

    python -m model.train_rqvae --as-of 2026-11-22 --encoder enc-2026-11-22 --publish
    python -m model.train_rqvae --as-of 2026-11-22 --encoder enc-2026-11-22 --preset smile
    python -m model.train_rqvae --as-of 2026-11-29 --encoder enc-2026-11-29 --warm-start cb-2026-11-22 --match-to cb-2026-11-22

--preset gatesid (the default): an RQ-VAE of the settings' sizes, 4 x 256. saviorrec: an RQ-VAE of 8 x 2048, to be judged;
it cannot be served. smile: RQ-OPQ, 4 x 256 by residual k-means, and OPQ codes of what the first three levels leave over.

--match-to V names the codes after those of codebook V, so that as many of its items as possible keep theirs, level by level.
--warm-start V goes on from codebook V: its codes follow the vectors of an encoder that went on from V's own (`train_encoder
--warm-start V`). Both together keep nearly every item's codes.

A collapsed codebook is refused with the figure that says so (exit code 4), and nothing is written. `--publish` makes the
version live: the stream gives new items SIDs of it from then on.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from features.artefacts import new_artefact, read_manifest, write_json
from features.clock import parse_as_of
from features.content import TEXT_TOKEN
from features.encoder import CODEBOOKS_FILE, CONFIG_FILE, OPQ_FILE, ROTATION_FILE, ContentEncoder, Quantiser
from features.errors import exit_code
from features.fusion import fuse
from features.layout import Layout
from infra.settings import CodebookSettings, load_settings
from model import opq_training, rqvae_training
from model.co_click_hits import co_click_figures, co_click_line
from model.co_click_pairs import Pairs
from model.codebook_health import HealthLimits, check_health, codebook_health, opq_health
from model.codebook_presets import GATESID, PRESETS, quantiser_name
from model.codebook_stability import published_before, stability, stability_lines
from model.codebooks import live_now, publish, refuse_other_sizes, refuse_retired
from model.corpus import Corpus, read_corpus
from model.opq_training import RqOpq, RqOpqConfig, train_rq_opq
from model.rerun import already_made
from model.rqvae import RqVae
from model.rqvae_config import RqVaeConfig
from model.rqvae_training import train_rqvae


def make_codebook(layout: Layout, as_of: date, encoder_version: str, config: RqVaeConfig | RqOpqConfig, limits: HealthLimits,
                  preset: str = GATESID, matched_to: str | None = None, output: Layout | None = None,
                  versions: Mapping[str, int] | None = None, warm_start: str | None = None) -> str:
    """Train, judge and write codebooks/cb-<as_of>, or cb-<as_of>-<preset>; returns the version.

    `output`: where encoders, codebooks and SIDs are, where not beside the tables. `versions`: see read_corpus. `matched_to`,
    `warm_start`: codebooks after which the codes are named, and from which it goes on.

    Raises DataError: the codebook is collapsed. ArtefactError: the encoder is not whole, or another codebook of that day
    exists or was retired.
    """
    version = f"cb-{as_of}" if preset == GATESID else f"cb-{as_of}-{preset}"
    artefacts = output or layout
    folder, source = artefacts.codebook(version), artefacts.encoder(encoder_version)
    refuse_retired(artefacts, version)
    inputs = {"as_of": as_of.isoformat(), "encoder": encoder_version, "config": asdict(config), "matched_to": matched_to,
              "warm_start": warm_start}
    if already_made(folder, "codebook", inputs):
        print(f"codebook {version} exists, made from the same inputs: nothing to do", flush=True)
        return version
    made_by = read_manifest(source, kind="encoder", verify=True)
    encoder = ContentEncoder.load(source)
    first = date.fromisoformat(made_by["from"]) if made_by["from"] else None
    corpus = read_corpus(layout, as_of, first, encoder.schema, versions)
    vectors = fuse(corpus.tokens, encoder.weights, encoder.config)
    before = matched_to and published_before(artefacts, matched_to, corpus.catalogue, config.levels, config.codes)
    start = warm_start and ContentEncoder.load(artefacts.codebook(warm_start)).quantiser
    model, moved = fit(vectors, corpus.pairs.train, config, start), None
    if before:
        places, moved = stability(layout, before, corpus.catalogue, model.quantiser(), vectors, as_of)
        model.rename(places)
    health = judge(model, vectors, corpus, moved, limits)
    with new_artefact(folder, kind="codebook", **inputs, quantiser=quantiser_name(config), reads=corpus.reads, rows=corpus.rows,
                      alignment=made_by["alignment"], health=health) as draft:
        write_codebook(draft.path, source, model.quantiser())
        write_json(draft.path / "health.json", health)
    return version


def fit(vectors: np.ndarray, pairs: Pairs, config: RqVaeConfig | RqOpqConfig, start: Quantiser | None) -> RqVae | RqOpq:
    """Cold, or going on from `start`."""
    if isinstance(config, RqOpqConfig):
        return train_rq_opq(vectors, config) if start is None else opq_training.go_on(vectors, start)
    return train_rqvae(vectors, pairs, config) if start is None else rqvae_training.go_on(vectors, config, start)


def judge(model: RqVae | RqOpq, vectors: np.ndarray, corpus: Corpus, moved: dict[str, Any] | None, limits: HealthLimits,
          ) -> dict[str, Any]:
    """The health report, `moved` (see `stability`) in it. Raises DataError: a figure is beyond its limit."""
    reconstruction = model.reconstruct(vectors)
    health = codebook_health(vectors, model.quantiser(), reconstruction, corpus.catalogue.content_rows, corpus.online_days)
    titles = corpus.tokens.texts[corpus.tokens.text_rows[:, TEXT_TOKEN]]
    spaces = {"text": titles, "encoder": vectors, "reconstruction": reconstruction}
    if isinstance(model, RqOpq):
        spaces["opq_reconstruction"] = model.reconstruct_fine(vectors)
        health["opq"] = opq_health(vectors, model.quantiser(), spaces["opq_reconstruction"])
    health["co_click"] = co_click_figures(corpus.pairs, **spaces)
    health |= {"stability": moved, "limits": asdict(limits)}
    print("codebook | perplexity " + " ".join(f"{level['perplexity']:.0f}/{level['usable']}" for level in health["levels"]) +
          " | coverage " + " ".join(f"{level['coverage']:.1%}" for level in health["levels"]) +
          f" | collisions items {health['collision_rate_items']:.1%} contents {health['collision_rate_contents']:.1%}"
          f" | explained {health['explained_variance']:.1%}", flush=True)
    if "opq" in health:
        print("opq | perplexity " + " ".join(f"{part['perplexity']:.0f}/{part['usable']}" for part in health["opq"]["levels"]) +
              f" | collisions of three RQ and the OPQ codes {health['opq']['collision_rate_contents']:.1%}"
              f" | explained {health['opq']['explained_variance']:.1%}", flush=True)
    print("\n".join([co_click_line(health["co_click"]), *(stability_lines(moved) if moved else ())]), flush=True)
    check_health(health)
    return health


def write_codebook(folder: Path, encoder: Path, quantiser: Quantiser) -> None:
    """The encoder's files and the quantiser's inference half: all that a SID needs, in one folder."""
    for file in [encoder / CONFIG_FILE, *sorted(encoder.glob("encoder.*.npy"))]:
        shutil.copyfile(file, folder / file.name)
    for name, array in quantiser.weights.items():
        np.save(folder / f"rqvae.{name}.npy", array, allow_pickle=False)
    np.save(folder / CODEBOOKS_FILE, quantiser.codebooks, allow_pickle=False)
    if quantiser.opq is not None:
        np.save(folder / ROTATION_FILE, quantiser.opq.rotation, allow_pickle=False)
        np.save(folder / OPQ_FILE, quantiser.opq.codebooks, allow_pickle=False)


def configured(given: argparse.Namespace, sizes: CodebookSettings) -> RqVaeConfig | RqOpqConfig:
    """The preset with what was given. Raises ConfigError: sizes that do not fit, also to publish a codebook nobody reads."""
    config = PRESETS[given.preset]
    if given.preset == GATESID:
        refuse_other_sizes(sizes.levels, sizes.codes)
        config = replace(config, levels=sizes.levels, codes=sizes.codes, width=sizes.width)
    if given.publish:
        refuse_other_sizes(config.levels, config.codes)
    if isinstance(config, RqVaeConfig):
        config = replace(config, epochs=given.epochs)
    return replace(config, seed=given.seed)


def limit(text: str) -> tuple[str, float]:
    """`min_coverage=0.4`, of HealthLimits."""
    name, _, value = text.partition("=")
    if name not in {one.name for one in fields(HealthLimits)}:
        raise argparse.ArgumentTypeError(f"there is no limit {name!r}")
    return name, float(value)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m model.train_rqvae", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", required=True, metavar="D", help="days before D are known, D excluded")
    parser.add_argument("--encoder", required=True, metavar="V", help="a version under <home>/encoders")
    parser.add_argument("--preset", choices=PRESETS, default=GATESID, help="default: %(default)s")
    parser.add_argument("--match-to", metavar="V", help="a codebook with published SIDs, whose code numbers are kept")
    parser.add_argument("--warm-start", metavar="V", help="a codebook to go on from, from whose encoder --encoder went on")
    parser.add_argument("--limit", metavar="NAME=X", type=limit, action="append", default=[],
                        help="another limit of health than the settings' [codebook_health]: " + ", ".join(
                            one.name for one in fields(HealthLimits)))
    parser.add_argument("--publish", action="store_true", help="make it the live codebook")
    parser.add_argument("--seed", type=int, default=RqVaeConfig.seed)
    parser.add_argument("--epochs", type=int, default=RqVaeConfig.epochs, help="of an RQ-VAE (default: %(default)s)")
    given = parser.parse_args(argv)

    def train() -> None:
        tf.config.experimental.enable_op_determinism()
        settings = load_settings()
        config = configured(given, settings.codebook)
        seen = live_now(settings.layout)
        limits = HealthLimits(**asdict(settings.codebook_health) | dict(given.limit))
        version = make_codebook(settings.layout, parse_as_of(given.as_of), given.encoder, config, limits, given.preset,
                                given.match_to, warm_start=given.warm_start)
        if given.publish:
            publish(settings.layout, version, seen)
            print(f"codebook {version} is live", flush=True)
        print(version)
    return exit_code(train)


if __name__ == "__main__":
    sys.exit(main())
