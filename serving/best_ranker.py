"""Which ranker to export when the answer is "the better one": highest GAUC of CTR over all rows of the day's evaluation.

GAUC, because serving orders the candidates of one user; AUC where no user has both labels.
"""

import json
from typing import Any

from features.artefacts import read_manifest
from features.errors import ArtefactError
from features.layout import Layout
from features.names import SLICE_ALL, TASK_CTR

BEST = "best"
METRICS = ("gauc", "auc")


def best_ranker(layout: Layout, as_of: str) -> str:
    """Raises ArtefactError: there is no evaluation of that day, or it has no figures."""
    folder = layout.report(f"evaluation-{as_of}")
    read_manifest(folder, kind="evaluation")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    figures: dict[str, Any] = evaluation["slices"][TASK_CTR][SLICE_ALL]["rankers"]
    for metric in METRICS:
        means = {ranker: values[metric]["mean"] for ranker, values in figures.items()}
        if means and all(mean is not None for mean in means.values()):
            return max(means, key=lambda ranker: means[ranker])
    raise ArtefactError(f"{folder} compares no rankers on both labels: evaluate more days, or name the ranker to export")
