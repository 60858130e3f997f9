"""One run of a job: its days, the table versions it read and wrote, its row counts; the manifest it leaves.

A job is a function `work(run, arguments) -> str` that returns what its last line of output says. `run_jobs` gives it a
session, turns a GatesidError into a message and an exit code, and writes <home>/runs/<job>/<as_of>.json when it is done.
"""

import argparse
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from features.artefacts import write_json
from features.clock import parse_as_of
from features.errors import ConfigError, GatesidError
from features.layout import Layout, table_version
from features.spec import contract_hash
from spark_jobs import lake
from spark_jobs.session import spark_session

SHORT_DAYS = 14
CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass
class Run:
    """What a job is given. `read` pins a table's version, so that every read of a run sees the same rows."""

    job: str
    spark: SparkSession
    settings: Any
    first: date
    as_of: date
    reads: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=lambda: {"in": 0, "out": 0, "rejected": {}})
    facts: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def layout(self) -> Layout:
        return Layout(self.settings.home)

    def has(self, table: str) -> bool:
        return (self.layout.table(table) / "_delta_log").is_dir()

    def read(self, table: str, columns: tuple[str, ...] = ()) -> DataFrame:
        """Raises ArtefactError: no such table. SchemaError: it lacks one of `columns`."""
        path = self.layout.table(table)
        version = self.reads.setdefault(table, table_version(path))
        frame = lake.read_table(self.spark, path, version)
        lake.require_columns(frame, columns, table)
        return frame

    def replace_days(self, frame: DataFrame, table: str, order: tuple[str, ...] = ()) -> int:
        """Replace the run's days of a table (`order`: lake.replace_days); returns the version."""
        return self.wrote(frame, table, lake.replace_days(frame, self.layout.table(table), self.first, self.as_of, order))

    def read_back(self, table: str) -> DataFrame:
        """The run's days of a table, as it wrote them."""
        return lake.between(lake.read_table(self.spark, self.layout.table(table), self.writes[table]), self.first, self.as_of)

    def append_new(self, frame: DataFrame, table: str, keys: tuple[str, ...], partition: str | None = None) -> int:
        return self.wrote(frame, table, lake.append_new_rows(frame, self.layout.table(table), keys, partition))

    def wrote(self, frame: DataFrame, table: str, version: int) -> int:
        self.writes[table] = version
        self.schemas[table] = hashlib.sha256(frame.schema.simpleString().encode()).hexdigest()[:12]
        self.rows["out"] += lake.rows_written(self.layout.table(table), version)
        return version

    def reject(self, reason: str, rows: int) -> None:
        self.rows["rejected"][reason] = self.rows["rejected"].get(reason, 0) + rows

    def log(self, text: str) -> None:
        print(f"{self.job} {text}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        seconds = round(time.monotonic() - self.started, 1)
        file = self.layout.run_manifest(self.job, self.as_of.isoformat())
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {
            "job": self.job, "from": self.first.isoformat(), "as_of": self.as_of.isoformat(), "reads": self.reads,
            "writes": self.writes, "rows": self.rows, "schema_hash": self.schemas, "contract_hash": contract_hash(),
            **self.facts, "config": self.settings.public(), "code_version": code_version(), "seconds": seconds})
        rejected = ", ".join(f"{reason} {count:,}" for reason, count in self.rows["rejected"].items()) or "none"
        self.log(f"{self.first} to {self.as_of} | rows in {self.rows['in']:,} | out {self.rows['out']:,} | rejected {rejected} "
                 f"| {seconds} s")


Work = Callable[[Run, argparse.Namespace], str]
LoadSettings = Callable[[], Any]
FindJars = Callable[[Path], Sequence[Path]]


def job_parser(module: str, about: str) -> argparse.ArgumentParser:
    """--from and --as-of, as every job has them."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about.split("\n")[0], epilog=(
        f"example: python -m {module} --from 2026-08-24 --as-of 2026-11-22"))
    parser.add_argument("--from", dest="first", metavar="D0", help="first day (default: the day before --as-of)")
    parser.add_argument("--as-of", required=True, metavar="D", help="every day before D; D itself is not read")
    return parser


def run_job(job: str, work: Work, arguments: argparse.Namespace, load_settings: LoadSettings, find_jars: FindJars) -> int:
    """The body of every job's `main`."""
    return run_jobs([(job, work, arguments)], load_settings, find_jars)


def run_jobs(jobs: Sequence[tuple[str, Work, argparse.Namespace]], load_settings: LoadSettings, find_jars: FindJars) -> int:
    """Jobs one after the other in one session, each with its manifest; the first that fails ends it. The exit code."""
    try:
        ranges = [day_range(arguments) for _, _, arguments in jobs]
        settings = load_settings()
        short = all((as_of - first).days <= SHORT_DAYS for first, as_of in ranges)
        spark = spark_session("+".join(job for job, _, _ in jobs), settings, find_jars(settings.home), short)
        try:
            for (job, work, arguments), (first, as_of) in zip(jobs, ranges, strict=True):
                run = Run(job, spark, settings, first, as_of)
                result = work(run, arguments)
                run.finish()
                spark.catalog.clearCache()
        finally:
            spark.stop()
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print(result, flush=True)
    return 0


def day_range(arguments: argparse.Namespace) -> tuple[date, date]:
    """(first, as_of) of a job's arguments. Raises ConfigError: not days, or none between them."""
    as_of = parse_as_of(arguments.as_of)
    first = parse_as_of(arguments.first) if arguments.first else as_of - timedelta(days=1)
    if first >= as_of:
        raise ConfigError(f"--from {first} must be before --as-of {as_of}")
    return first, as_of


def code_version() -> str:
    """The commit of this checkout, or "unknown" outside one."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
