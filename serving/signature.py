"""The tensors the ranking stack sends and gets: names, dtypes and shapes of the exported signature.

    user side   user_row[U], hour_of_day[U], day_of_week[U], history_rows[U, L], history_codes[U, L, N]
    item side   item_row[C], item_codes[C, N], item_stats[C, 3], repeat_count[C], repeat_age_days[C]
    outputs     ctr[C], ctcvr[C], and semantic_weight[C] of a ranker with a gate

U is 1: one user, C candidates. U = C is taken too, since the row format of TF Serving's REST API ("instances") gives every
input the same leading length.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from features.spec import INPUTS_BY_NAME, RANKING_INPUTS

SIGNATURE = "serving_default"
CTR, CTCVR, SEMANTIC_WEIGHT = "ctr", "ctcvr", "semantic_weight"
OUTPUTS = (CTR, CTCVR, SEMANTIC_WEIGHT)  # the last only where the ranker has a gate

Tensors = dict[str, NDArray[Any]]


def tensor_specs() -> dict[str, tf.TensorSpec]:
    """The exported inputs, by name."""
    return {spec.name: tf.TensorSpec([None, *spec.shape], spec.dtype, name=spec.name) for spec in RANKING_INPUTS}


def repeat_rows(inputs: Tensors) -> Tensors:
    """U = C from U = 1: a row for each candidate, as in training."""
    candidates = len(inputs["item_row"])
    return {
        name: values if INPUTS_BY_NAME[name].side == "item" else np.repeat(values, candidates // len(values), axis=0)
        for name, values in inputs.items()
    }


def default_inputs(candidates: int) -> Tensors:
    """What an unknown user and `candidates` unknown items are to the model: every input at its stated default."""
    return {
        spec.name: np.full((1 if spec.side == "user" else candidates, *spec.shape), spec.default, spec.dtype)
        for spec in RANKING_INPUTS
    }
