"""One SavedModel in memory, called through TF1's loader and a session callable.

That way answers twice the requests a second of the TF2 signature, and it is how TF Serving runs a model too.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from features.errors import ArtefactError
from serving.fault import CODES, INVALID_ARGUMENT, ServingFault
from serving.signature import SIGNATURE

tf.get_logger().setLevel("ERROR")  # else every load says that TF1's loader, which is chosen for its speed, is an old one


class LoadedModel:
    """A model ready to answer. `folder` is its version folder; `close` frees it, when no call is under way."""

    def __init__(self, folder: Path, version: int) -> None:
        """Raises ArtefactError: TensorFlow cannot load what is in the folder."""
        self.folder, self.version = folder, version
        graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=graph)
        try:
            with graph.as_default():
                meta = tf.compat.v1.saved_model.loader.load(self.session, ["serve"], str(folder))
        except (OSError, ValueError, RuntimeError, tf.errors.OpError) as fault:
            self.session.close()
            raise ArtefactError(f"{folder} is not a SavedModel that loads: {fault}; export it again") from fault
        self.signatures: dict[str, Any] = dict(meta.signature_def)
        self.callables = {name: SignatureCall(self.session, signature) for name, signature in self.signatures.items()
                          if signature.inputs}

    def signature(self, name: str = "") -> "SignatureCall":
        """Raises ServingFault INVALID_ARGUMENT: the model has no such signature."""
        try:
            return self.callables[name or SIGNATURE]
        except KeyError:
            raise ServingFault(INVALID_ARGUMENT, f'Serving signature key "{name or SIGNATURE}" not found.') from None

    def predict(self, inputs: Mapping[str, NDArray[Any]], signature: str = "") -> dict[str, NDArray[Any]]:
        return self.signature(signature)(inputs)

    def close(self) -> None:
        self.callables.clear()
        self.session.close()


class SignatureCall:
    """One signature of a loaded model: named arrays in, named arrays out, safe to call from several threads."""

    def __init__(self, session: Any, signature: Any) -> None:
        graph = session.graph
        self.inputs = {alias: graph.get_tensor_by_name(info.name) for alias, info in signature.inputs.items()}
        self.output_names = list(signature.outputs)
        fetches = [graph.get_tensor_by_name(signature.outputs[alias].name) for alias in self.output_names]
        self.run = session.make_callable(fetches, feed_list=list(self.inputs.values()))

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Raises ServingFault INVALID_ARGUMENT, which names the input that is missing, extra or of a wrong type or shape."""
        self.check(inputs)
        try:
            outputs = self.run(*(inputs[alias] for alias in self.inputs))
        except tf.errors.OpError as fault:
            raise ServingFault(CODES.get(fault.error_code, "UNKNOWN"), fault.message) from fault
        return dict(zip(self.output_names, outputs, strict=True))

    def check(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        extra = sorted(set(inputs) - set(self.inputs))
        missing = sorted(set(self.inputs) - set(inputs))
        if extra or missing:
            raise ServingFault(INVALID_ARGUMENT, (
                f"input size does not match signature: {len(inputs)}!={len(self.inputs)} "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."))
        for alias, tensor in self.inputs.items():
            given = inputs[alias]
            if given.dtype != tensor.dtype.as_numpy_dtype and not (tensor.dtype == tf.string and given.dtype == np.object_):
                raise ServingFault(
                    INVALID_ARGUMENT, f"input {alias} expects {tensor.dtype.name}, got {tf.as_dtype(given.dtype).name}")
            if not tensor.shape.is_compatible_with(given.shape):
                raise ServingFault(
                    INVALID_ARGUMENT, f"input {alias} expects shape {tensor.shape}, got {tuple(given.shape)}")
