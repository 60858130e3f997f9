"""A thin gRPC client of TF Serving (or the embedded server): predict with a deadline, and which version answers.

A call that the server certainly did not take is tried once more by gRPC itself, within the deadline; a server that stays
silent is left alone for a moment (breaker.py).
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import grpc
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.breaker import CircuitBreaker
from serving.fault import DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE, ServingFault
from serving.tensor_format import array_of, fill

RETRIES = {
    "methodConfig": [{
        "name": [{"service": "tensorflow.serving.PredictionService"}],
        "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.002s", "maxBackoff": "0.01s", "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE"]}}],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.service_config", json.dumps(RETRIES)),
]
SILENCE = (UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED)


class Prediction(NamedTuple):
    version: int
    outputs: dict[str, NDArray[Any]]


class ModelClient:
    """Args:
      address: host:port of the gRPC API.
      deadline_ms: after which a call fails with DEADLINE_EXCEEDED.
    """

    def __init__(self, address: str, model_name: str, deadline_ms: int) -> None:
        self.model_name, self.deadline_s = model_name, deadline_ms / 1000
        self.breaker = CircuitBreaker(lambda fault: isinstance(fault, ServingFault) and fault.code in SILENCE)
        self.channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(
        self, inputs: Mapping[str, NDArray[Any]], version: int | None = None, timeout_s: float | None = None,
    ) -> Prediction:
        """Raises ServingFault with the server's code: NOT_FOUND, INVALID_ARGUMENT, UNAVAILABLE, DEADLINE_EXCEEDED…"""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model_name
        if version is not None:
            request.model_spec.version.value = version
        for name, values in inputs.items():
            fill(request.inputs[name], values)
        response = self.breaker.call(lambda: self.call(self.predictions.Predict, request, timeout_s))
        outputs = {name: array_of(proto) for name, proto in response.outputs.items()}
        return Prediction(response.model_spec.version.value, outputs)

    def answering_version(self) -> int:
        """The newest version that is available. Raises ServingFault: none is, or the server does not answer."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.model_name
        available = [line.version for line in self.call(self.models.GetModelStatus, request).model_version_status
                     if line.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE]
        if not available:
            raise ServingFault(NOT_FOUND, f"no version of model {self.model_name} is available")
        return max(available)

    def call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        try:
            return method(request, timeout=min(timeout_s or self.deadline_s, self.deadline_s))
        except grpc.RpcError as fault:
            raise ServingFault(fault.code().name, fault.details() or str(fault)) from None

    def close(self) -> None:
        self.channel.close()
