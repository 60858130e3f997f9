"""TF Serving's gRPC API (PredictionService.Predict, GetModelMetadata; ModelService.GetModelStatus) over a registry."""

from collections.abc import Callable
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf.any_pb2 import Any as AnyMessage
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.fault import INTERNAL, INVALID_ARGUMENT, ServingFault
from serving.registry import Registry
from serving.signature import SIGNATURE
from serving.tensor_format import array_of, fill

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


def requested(spec: model_pb2.ModelSpec) -> tuple[str, int | None]:
    """(model name, version or None for the newest)."""
    if not spec.name:
        raise ServingFault(INVALID_ARGUMENT, "Missing ModelSpec")
    if spec.HasField("version_label"):
        raise ServingFault(INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
    return spec.name, spec.version.value if spec.HasField("version") else None


def predict(registry: Registry, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    name, version = requested(request.model_spec)
    with registry.lease(name, version) as model:
        inputs = {}
        for alias, proto in request.inputs.items():
            try:
                inputs[alias] = array_of(proto)
            except (TypeError, ValueError) as fault:
                raise ServingFault(INVALID_ARGUMENT, f"tensor parsing error: {alias} ({fault})") from None
        outputs = model.predict(inputs, request.model_spec.signature_name)
        unknown = sorted(set(request.output_filter) - set(outputs))
        if unknown:
            raise ServingFault(INVALID_ARGUMENT, f"output tensor alias not found in signature: {', '.join(unknown)}")
        response = predict_pb2.PredictResponse()
        response.model_spec.name = name
        response.model_spec.version.value = model.version
        response.model_spec.signature_name = request.model_spec.signature_name or SIGNATURE
        for alias in request.output_filter or outputs:
            if outputs[alias].dtype == object:
                response.outputs[alias].CopyFrom(tf.make_tensor_proto(outputs[alias]))
            else:
                fill(response.outputs[alias], outputs[alias])
        return response


def metadata(
    registry: Registry, request: get_model_metadata_pb2.GetModelMetadataRequest,
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    name, version = requested(request.model_spec)
    if not request.metadata_field:
        raise ServingFault(INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field")
    unknown = [field for field in request.metadata_field if field != "signature_def"]
    if unknown:
        raise ServingFault(INVALID_ARGUMENT, f"Metadata field {unknown[0]} is not supported")
    with registry.lease(name, version) as model:
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = name
        response.model_spec.version.value = model.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in model.signatures.items():
            signatures.signature_def[key].CopyFrom(signature)
        packed = AnyMessage()
        packed.Pack(signatures)
        response.metadata["signature_def"].CopyFrom(packed)
        return response


def status(
    registry: Registry, request: get_model_status_pb2.GetModelStatusRequest,
) -> get_model_status_pb2.GetModelStatusResponse:
    name, version = requested(request.model_spec)
    response = get_model_status_pb2.GetModelStatusResponse()
    for entry in registry.statuses(name, version):
        line = response.model_version_status.add(version=entry.version, state=entry.state)
        line.status.error_code = entry.error_code
        line.status.error_message = entry.error
    return response


def answer(context: grpc.ServicerContext, call: Callable[[Registry, Any], Any], registry: Registry, request: Any) -> Any:
    try:
        return call(registry, request)
    except ServingFault as fault:
        context.abort(getattr(grpc.StatusCode, fault.code, grpc.StatusCode.UNKNOWN), str(fault))
    except Exception as fault:
        context.abort(getattr(grpc.StatusCode, INTERNAL), f"{type(fault).__name__}: {fault}")


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Classify, Regress and MultiInference stay UNIMPLEMENTED: a ranker has no such signature."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        return answer(context, predict, self.registry, request)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        return answer(context, metadata, self.registry, request)


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """HandleReloadConfigRequest stays UNIMPLEMENTED: the folder is watched, there is no config to reload."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        return answer(context, status, self.registry, request)


def add_services(server: grpc.Server, registry: Registry) -> None:
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(registry), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(registry), server)
