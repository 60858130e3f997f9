"""Where things lie under the state folder (`<checkout>/var` by default): one place, so that rooms agree."""

from dataclasses import dataclass
from pathlib import Path

from features.errors import ArtefactError


@dataclass(frozen=True)
class Layout:
    home: Path

    def table(self, name: str) -> Path:
        """A Delta table of the lake."""
        return self.home / "lake" / name

    def snapshot(self, name: str, version: int) -> Path:
        """Hard links to the files of one version of a Delta table; what Feast's DuckDB store reads."""
        return self.home / "lake_snapshots" / name / str(version)

    def dataset(self, name: str) -> Path:
        """A prepared data set: events/*.parquet, items.parquet, manifest.json."""
        return self.home / "data" / name

    def encoder(self, version: str) -> Path:
        return self.home / "encoders" / version

    def codebook(self, version: str) -> Path:
        """Encoder weights, codebooks.npy, health.json."""
        return self.home / "codebooks" / version

    @property
    def live_codebook_file(self) -> Path:
        """JSON {"version": …}: the codebook that new items get their SID from."""
        return self.home / "codebooks" / "live.json"

    def maturity_state(self, as_of: str) -> Path:
        """What item_stats leaves for the stream to start from: hour counts, seen ids, last published pairs, watermark."""
        return self.home / "maturity_state" / as_of

    def checkpoint(self, ranker: str, seed: int, as_of: str) -> Path:
        """Weights, optimiser slots and the state of the run after training on every day before as_of."""
        return self.home / "checkpoints" / f"{ranker}-s{seed}" / as_of

    def predictions(self, ranker: str, seed: int) -> Path:
        """One Parquet file a day (<ds>.parquet): the day scored by the model of the day before."""
        return self.home / "predictions" / f"{ranker}-s{seed}"

    def candidate(self, codebook: str) -> "Layout":
        """Checkpoints and predictions of the ranker that learns on with another codebook than the live one."""
        return Layout(self.home / "candidates" / codebook)

    def model(self, ranker: str, version: int) -> Path:
        """An exported SavedModel."""
        return self.home / "models" / ranker / str(version)

    @property
    def serving(self) -> Path:
        """What the model server watches: <model name>/<version>/."""
        return self.home / "serving"

    def run_manifest(self, job: str, as_of: str) -> Path:
        """What the latest run of a batch job for this as_of read and wrote."""
        return self.home / "runs" / job / f"{as_of}.json"

    def report(self, run: str) -> Path:
        return self.home / "reports" / run


def table_version(path: Path) -> int:
    """The newest complete version of a Delta table, from its log (no engine needed).

    Raises ArtefactError: there is no table.
    """
    commits = [int(file.stem) for file in (path / "_delta_log").glob("[0-9]*.json") if file.stem.isdigit()]
    if not commits:
        raise ArtefactError(f"no Delta table at {path}: run the job that writes it first")
    return max(commits)
