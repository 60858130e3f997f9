"""TF Serving's REST encoding of tensors: the row format ("instances") and the columnar one ("inputs").

    {"instances": [{"item_row": 5, …}, …]}   → {"predictions": [{"ctr": 0.1, …}, …]}
    {"inputs": {"item_row": [5, 6], …}}      → {"outputs": {"ctr": [0.1, 0.2], …}}

A signature with one input takes bare values in place of named ones, and one output is answered bare. Bytes are written
{"b64": "…"}; NaN and Infinity as JSON does not know them but TF Serving (and Python) writes them.
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.fault import INVALID_ARGUMENT, ServingFault

Arrays = dict[str, NDArray[Any]]


def decode(body: bytes, dtypes_of: Callable[[str], dict[str, Any]]) -> tuple[str, Arrays, bool]:
    """A :predict body → (signature name, arrays, row format?).

    Args:
      dtypes_of: signature name → {input: NumPy dtype}; raises ServingFault for an unknown signature.
    Raises ServingFault INVALID_ARGUMENT, naming the key or the input at fault.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise ServingFault(INVALID_ARGUMENT, f"JSON Parse error: {fault}") from None
    if not isinstance(document, dict):
        raise ServingFault(INVALID_ARGUMENT, "JSON Value: expected an object with 'instances' or 'inputs'")
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise ServingFault(INVALID_ARGUMENT, "'signature_name' key must be a string value")
    dtypes = dtypes_of(signature)
    rows, columns = "instances" in document, "inputs" in document
    if rows == columns:
        given = "both" if rows else "neither"
        raise ServingFault(INVALID_ARGUMENT, f"expected exactly one of the keys 'instances' and 'inputs', got {given}")
    named = from_rows(document["instances"], dtypes) if rows else from_columns(document["inputs"], dtypes)
    return signature, {name: tensor(name, value, dtypes[name]) for name, value in named.items()}, rows


def from_rows(instances: Any, dtypes: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise ServingFault(INVALID_ARGUMENT, "'instances' expects a non-empty list")
    if not all(is_named(instance) for instance in instances):
        if len(dtypes) != 1 or any(is_named(instance) for instance in instances):
            raise ServingFault(INVALID_ARGUMENT, f"'instances' expects objects with the inputs {sorted(dtypes)}")
        return {next(iter(dtypes)): instances}
    for number, instance in enumerate(instances):
        check_names(instance, dtypes, f"element {number} of 'instances'")
    return {name: [instance[name] for instance in instances] for name in dtypes}


def from_columns(inputs: Any, dtypes: dict[str, Any]) -> dict[str, Any]:
    if is_named(inputs):
        check_names(inputs, dtypes, "'inputs'")
        return dict(inputs)
    if len(dtypes) != 1:
        raise ServingFault(INVALID_ARGUMENT, f"'inputs' expects an object with the inputs {sorted(dtypes)}")
    return {next(iter(dtypes)): inputs}


def is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {"b64"}


def check_names(given: dict[str, Any], dtypes: dict[str, Any], place: str) -> None:
    missing, extra = sorted(set(dtypes) - set(given)), sorted(set(given) - set(dtypes))
    if missing or extra:
        raise ServingFault(INVALID_ARGUMENT, f"{place}: missing inputs {missing}, unknown inputs {extra}")


def tensor(name: str, value: Any, dtype: Any) -> NDArray[Any]:
    """Raises ServingFault: values of another kind than the input's (a fraction for an integer too), or a ragged list."""
    wanted = np.dtype(dtype)
    if wanted == np.object_:
        return np.array(decoded_bytes(value), dtype=object)
    try:
        given = np.array(value)
    except (ValueError, OverflowError):
        raise ServingFault(INVALID_ARGUMENT, f"input {name}: the lists in it have different lengths") from None
    kinds = {"i": "iu", "u": "iu", "f": "iuf", "b": "b"}[wanted.kind]
    if given.size and given.dtype.kind not in kinds:
        raise ServingFault(INVALID_ARGUMENT, f"input {name} expects {wanted.name}, got {given.dtype.name}")
    cast = given.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(cast, given):
        raise ServingFault(INVALID_ARGUMENT, f"input {name} has a value outside the range of {wanted.name}")
    return cast


def decoded_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [decoded_bytes(part) for part in value]
    try:
        return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else str(value).encode()
    except (KeyError, TypeError, binascii.Error) as fault:
        raise ServingFault(INVALID_ARGUMENT, f"bytes are expected as text or {{\"b64\": …}}: {fault!r}") from None


def encode(outputs: Arrays, rows: bool) -> dict[str, Any]:
    """Raises ServingFault: the row format needs outputs of one leading length."""
    listed = {name: plain(values) for name, values in outputs.items()}
    if not rows:
        return {"outputs": next(iter(listed.values())) if len(listed) == 1 else listed}
    lengths = {values.shape[:1] for values in outputs.values()}
    if len(lengths) != 1 or lengths == {()}:
        raise ServingFault(INVALID_ARGUMENT, "outputs have no common leading length: ask in the columnar format ('inputs')")
    if len(listed) == 1:
        return {"predictions": next(iter(listed.values()))}
    return {"predictions": [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]}


def plain(values: NDArray[Any]) -> Any:
    if values.dtype == np.object_:
        return [{"b64": base64.b64encode(value).decode()} for value in values.ravel()]
    if values.dtype == np.float32:  # the shortest text that reads back as this float32
        return values.astype(str).astype(np.float64).tolist()
    return values.tolist()
