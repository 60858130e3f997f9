"""What a tuning or a reported cell does: what model.train_ranker does, into the run's own folder."""

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from features.artefacts import write_json
from features.layout import Layout
from model.comparison.models import quantiser_of
from model.comparison.plan import Plan, Run
from model.comparison.tuning import chosen, figures, judged
from model.config import PRACTICAL, TrainConfig, preset
from model.job import Job
from model.learner import Diverged
from model.train_ranker import run as train_days

CHECKPOINT_EVERY = 10  # days; what a killed cell repeats at most


def train(run: Run, preset_name: str, ranker: str, seed: int) -> None:
    """Train and predict up to the run's end, from this cell's newest checkpoint, at the rates that its tuning chose."""
    rates = chosen(run, preset_name, ranker)
    last = train_days(job(run, preset_name, ranker, seed, rates, run.plan.as_of, run.of(preset_name)), say)
    for earlier in last.parent.iterdir():
        if earlier != last:
            shutil.rmtree(earlier)


def tune(run: Run, preset_name: str, ranker: str, point: int, seed: int) -> None:
    """Train on the tuning days alone; what is kept is the point's figures."""
    days, rates = run.plan.tuning_days(), run.plan.rates[point]
    file = run.tuning(preset_name, ranker, point, seed)
    own = Layout(file.with_suffix(""))
    end = date.fromisoformat(days[-1]) + timedelta(days=1)
    found = {"seed": seed, "dense_rate": rates[0], "table_rate": rates[1], "log_loss": None, "auc": None}
    try:
        train_days(job(run, preset_name, ranker, seed, rates, str(end), own), say)
        found |= figures(own, ranker, seed, judged(days))
    except Diverged as fault:
        say(f"rates {rates}: {fault}")
    shutil.rmtree(own.home, ignore_errors=True)  # nothing is there where the first day diverged
    write_json(file, found)


def job(run: Run, preset_name: str, ranker: str, seed: int, rates: tuple[float, float] | None, as_of: str,
        output: Layout) -> Job:
    plan, (codebook, sids) = run.plan, codebook_of(run, ranker, seed)
    network, _ = preset(ranker, preset_name)
    return Job(run.home, network, training(plan, preset_name, ranker, rates), seed, date.fromisoformat(plan.start),
               date.fromisoformat(as_of), codebook, CHECKPOINT_EVERY, plan.versions, output, sids)


def training(plan: Plan, preset_name: str, ranker: str, rates: tuple[float, float] | None) -> TrainConfig:
    config = replace(preset(ranker, preset_name)[1], labels=plan.labels)
    if preset_name == PRACTICAL:
        config = replace(config, batch_size=plan.batch_size)
    return config if rates is None else replace(config, dense_rate=rates[0], table_rate=rates[1])


def codebook_of(run: Run, ranker: str, seed: int) -> tuple[str | None, Layout | None]:
    """The version a cell reads, and where it is: None beside the tables."""
    quantiser = quantiser_of(ranker)
    if quantiser is None or run.plan.codebook is not None:
        return quantiser and run.plan.codebook, None
    return json.loads(run.fitted(seed, quantiser).read_text())["codebook"], run.sids(seed)


def say(line: str | Path) -> None:
    print(line, flush=True)
