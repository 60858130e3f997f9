"""Another codebook, its SIDs, its features and a model that reads them: served together from one moment on, or not at all.

    python -m serving.switch --as-of 2026-11-22 --codebook cb-2026-11-22 --ranker gatesid --version 2026112202

All of it was made before, and nobody reads it yet: the codebook (`train_rqvae`), its SIDs (`sid_assignment`), the ranker that
went on with it (`train_ranker --candidate`) and its export. First all is checked; whatever fails is listed, and nothing has
changed. Then:

    1 SIDs and profiles to the codebook's own place online      the model in use reads those of its own codebook
    2 the model to where model servers look                     they leave it alone: its codebook is not live
    3 live.json names the codebook, by one rename               model servers take the model, the stream the codebook

Killed at any line, the old ones serve or the new ones do (ADR-0007); the same command goes on. With --rollback it goes back to
a codebook and a model that served before: its version may be lower, higher ones leave the folder, and nothing is compared.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from features import materialize
from features.artefacts import read_manifest
from features.clock import SystemClock, parse_as_of
from features.errors import ArtefactError, DataError, GatesidError, exit_code
from features.layout import Layout
from features.names import TABLE_ITEMS, TABLE_SEMANTIC_IDS
from features.retrieval import OnlineFeatures, config_from
from infra.settings import load_settings
from model.candidate import judge
from model.codebook_diff import codebook_diff, published_sids
from model.codebooks import live_now, publish, publishable
from serving.export import MODEL_KIND
from serving.promote import checked, copy, newer_than, withdraw


@dataclass(frozen=True)
class Switch:
    """What shall be served, instead of what, and by which of the settings' limits ([switch])."""

    layout: Layout
    model_name: str
    as_of: date
    codebook: str
    ranker: str
    version: int
    seen: str | None  # the codebook that was live when all this was made
    min_items_kept: float
    max_auc_loss: float
    rollback: bool = False

    @property
    def source(self) -> Path:
        return self.layout.model(self.ranker, self.version)

    @property
    def target(self) -> Path:
        return self.layout.serving / self.model_name / str(self.version)

    @property
    def done(self) -> bool:
        return (live_now(self.layout) == self.codebook and self.target.is_dir()
                and not (self.rollback and newer_than(self.target)))


def check(switch: Switch) -> None:
    """Raises ArtefactError that lists every fault; nothing was changed."""
    faults = []
    for one in (check_codebook, check_sids, check_model, check_ranking):
        try:
            one(switch)
        except GatesidError as fault:
            faults.append(f"{one.__name__.removeprefix('check_')}: {fault}")
    if faults:
        raise ArtefactError("nothing was switched. " + ". ".join(faults))


def check_codebook(switch: Switch) -> None:
    """It is whole, healthy, and replaces the one that it was made to replace."""
    publishable(switch.layout, switch.codebook)
    if (live := live_now(switch.layout)) not in (switch.seen, switch.codebook):
        raise ArtefactError(f"{live} is live, {switch.seen} was when this began: make the candidate again from {live}")


def check_sids(switch: Switch) -> None:
    """The items keep having one."""
    live = live_now(switch.layout)
    if live in (None, switch.codebook):
        published_sids(switch.layout, switch.codebook)
        return
    found = codebook_diff(switch.layout, live, switch.codebook)
    kept = found["items"] / (found["items"] + found["only_old"])
    if kept < switch.min_items_kept:
        raise DataError(f"of the items with a SID of {live} {found['only_old']:,} have none of {switch.codebook}; {kept:.2%} "
                        f"have, at least {switch.min_items_kept:.2%} expected: run `python -m spark_jobs.sid_assignment "
                        f"--as-of {switch.as_of} --codebook {switch.codebook}`")


def check_model(switch: Switch) -> None:
    """It is whole, scores as it was exported, reads this codebook or none, and is newer than what serves."""
    checked(switch.source, switch.target, switch.codebook)
    if (newer := newer_than(switch.target)) and not switch.rollback:
        raise ArtefactError(f"{newer[-1]} is newer than {switch.version} and serves: make the candidate of that day")


def check_ranking(switch: Switch) -> None:
    """It ranks as well as the ranker in use does with the old codebook."""
    manifest = read_manifest(switch.source, kind=MODEL_KIND)
    if switch.rollback or manifest["codebook_version"] is None:
        return
    judged = judge(switch.layout, switch.codebook, switch.ranker, manifest["seed"])
    if judged.candidate < judged.in_use - switch.max_auc_loss:
        raise DataError(f"{judged}; it may lose {switch.max_auc_loss}: look at the log of the candidate's warm start, or train "
                        "it over more days (`train_ranker --candidate --from D0`)")
    print(judged, flush=True)


def carry_out(switch: Switch, store: OnlineFeatures, say: Callable[[str], None]) -> None:
    """The three steps; what was checked is taken for granted. Raises EnvironmentFault, ArtefactError: the old ones serve."""
    now_ms = SystemClock().now_ms()
    materialize.run(store, switch.layout, switch.as_of, switch.codebook, now_ms, (TABLE_SEMANTIC_IDS, TABLE_ITEMS))
    say(f"SIDs of {switch.codebook} are online")
    copy(switch.source, switch.target, read_manifest(switch.source, kind=MODEL_KIND))
    say(f"model {switch.ranker}/{switch.version} waits for {switch.codebook}")
    publish(switch.layout, switch.codebook, switch.seen)
    say(f"codebook {switch.codebook} is live, instead of {switch.seen}")
    if switch.rollback:
        withdraw(newer_than(switch.target), switch.target)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.switch", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", required=True, metavar="D", help="profiles as they were known before D")
    parser.add_argument("--codebook", required=True, metavar="V", help="to be live from now on")
    parser.add_argument("--ranker", required=True, help="base or gatesid")
    parser.add_argument("--version", required=True, type=int, help="YYYYMMDDNN, as serving.export printed it")
    parser.add_argument("--instead-of", metavar="V", help="the codebook you saw live (default: the one live now)")
    parser.add_argument("--rollback", action="store_true", help="back to a model that served before")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    given = parse(argv)

    def run() -> None:
        settings = load_settings()
        seen = given.instead_of or live_now(settings.layout)
        switch = Switch(settings.layout, settings.serving.model_name, parse_as_of(given.as_of), given.codebook, given.ranker,
                        given.version, seen, settings.switch.min_items_kept, settings.switch.max_auc_loss, given.rollback)
        if switch.done:
            print(f"codebook {switch.codebook} is live and its model is there: nothing to do")
        else:
            check(switch)
            carry_out(switch, OnlineFeatures(config_from(settings)), lambda line: print(line, flush=True))
        print(switch.target)
    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
