"""Golden requests: inputs with the scores they must get, exported with a model and asked again before it is promoted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtefactError
from features.spec import CODEBOOK_SIZE, FIRST_ROW, HISTORY_LENGTH, INPUTS_BY_NAME, NUM_LEVELS
from serving.signature import Tensors, default_inputs

FILE = Path("assets.extra") / "golden_requests.json"
TOLERANCE = 1e-6
SIZES = (1, 7, 100)


def golden_inputs(user_rows: int, item_rows: int, seed: int = 20260101) -> list[Tensors]:
    """Requests that touch what a model can meet: unknown ids, missing codes, short histories, new and popular items.

    Args:
      user_rows, item_rows: rows of the model's tables, padding and out-of-vocabulary included.
    """
    random = np.random.default_rng(seed)
    return [default_inputs(3)] + [drawn_request(random, user_rows, item_rows, size) for size in SIZES]


def drawn_request(random: np.random.Generator, user_rows: int, item_rows: int, candidates: int) -> Tensors:
    taken = int(random.integers(1, HISTORY_LENGTH + 1))
    inputs = default_inputs(candidates)
    inputs["user_row"][:] = random.integers(1, max(user_rows, FIRST_ROW))
    inputs["hour_of_day"][:] = random.integers(24)
    inputs["day_of_week"][:] = random.integers(7)
    inputs["history_rows"][:, :taken] = random.integers(1, max(item_rows, FIRST_ROW), (1, taken))
    inputs["history_codes"][:, :taken] = drawn_codes(random, (1, taken))
    inputs["item_row"][:] = random.integers(1, max(item_rows, FIRST_ROW), candidates)
    inputs["item_codes"][:] = drawn_codes(random, (candidates,))
    exposure = random.lognormal(3, 2, candidates).astype(np.int64)
    inputs["item_stats"][:] = np.stack(
        [random.integers(0, 700, candidates), exposure, random.binomial(exposure, 0.05)], axis=-1)
    bought = random.random(candidates) < 0.3
    inputs["repeat_count"][bought] = random.integers(1, 20, bought.sum())
    inputs["repeat_age_days"][bought] = random.uniform(0, 90, bought.sum())
    return inputs


def drawn_codes(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int32]:
    codes = random.integers(0, CODEBOOK_SIZE, (*shape, NUM_LEVELS), dtype=np.int32)
    codes[random.random(shape) < 0.2] = -1
    return codes


def write_golden(folder: Path, requests: list[tuple[Tensors, Tensors]]) -> None:
    """[(inputs, expected scores)] → assets.extra/golden_requests.json."""
    listed = [
        {"inputs": {name: values.tolist() for name, values in inputs.items()},
         "expected": {name: values.tolist() for name, values in expected.items()}}
        for inputs, expected in requests
    ]
    (folder / FILE).write_text(json.dumps({"tolerance": TOLERANCE, "requests": listed}) + "\n")


def read_golden(folder: Path) -> list[tuple[Tensors, dict[str, Any]]]:
    """Raises ArtefactError: the model has no golden requests, or they have other inputs than this code."""
    try:
        listed = json.loads((folder / FILE).read_text())["requests"]
        return [
            ({name: np.asarray(request["inputs"][name], spec.dtype) for name, spec in INPUTS_BY_NAME.items()},
             {name: np.asarray(values, np.float64) for name, values in request["expected"].items()})
            for request in listed
        ]
    except (OSError, ValueError, KeyError) as fault:
        raise ArtefactError(f"{folder / FILE} cannot be read ({fault!r}): export the model again") from None


def largest_difference(requests: list[tuple[Tensors, dict[str, Any]]], score: Callable[[Tensors], dict[str, Any]]) -> float:
    """max |score − expected| over every output of every request; infinite where an output is missing or not finite."""
    worst = 0.0
    for inputs, expected in requests:
        scores = score(inputs)
        if set(scores) != set(expected):
            return float("inf")
        for name, values in expected.items():
            difference = np.abs(np.asarray(scores[name], np.float64) - values)
            worst = max(worst, float(np.max(np.where(np.isfinite(difference), difference, np.inf), initial=0.0)))
    return worst
