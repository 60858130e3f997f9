"""TF Serving's REST API over a registry.

    GET  /v1/models/M[/versions/N]            status of the versions
    GET  /v1/models/M[/versions/N]/metadata   signatures
    POST /v1/models/M[/versions/N]:predict    row or columnar format
"""

import json
import re
from typing import Any

from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving import grpc_service
from serving.fault import INVALID_ARGUMENT, NOT_FOUND, ServingFault
from serving.registry import Registry
from serving.rest_format import decode, encode

PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<verb>:predict|/metadata)?")


def rest_app(registry: Registry) -> Starlette:
    async def endpoint(request: Request) -> Response:
        try:
            body = await request.body()
            return reply(200, await run_in_threadpool(route, registry, request.method, request.url.path, body))
        except ServingFault as fault:
            return reply(fault.http_status, {"error": str(fault)})

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])


def reply(status: int, document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), status, media_type="application/json")


def route(registry: Registry, method: str, path: str, body: bytes) -> dict[str, Any]:
    match = PATH.fullmatch(path)
    if match is None or (method == "POST") != (match["verb"] == ":predict"):
        raise ServingFault(INVALID_ARGUMENT if match else NOT_FOUND, f"Malformed request: {method} {path}")
    name, version = match["name"], int(match["version"]) if match["version"] else None
    if version is not None and version >= 2**63:
        raise ServingFault(INVALID_ARGUMENT, f"Failed to convert version: {match['version']} to numeric.")
    if match["verb"] == ":predict":
        return predict(registry, name, version, body)
    if match["verb"] == "/metadata":
        return metadata(registry, name, version)
    return status(registry, name, version)


def predict(registry: Registry, name: str, version: int | None, body: bytes) -> dict[str, Any]:
    with registry.lease(name, version) as model:
        signature, inputs, rows = decode(
            body, lambda key: {alias: tensor.dtype.as_numpy_dtype for alias, tensor in model.signature(key).inputs.items()})
        return encode(model.predict(inputs, signature), rows)


def metadata(registry: Registry, name: str, version: int | None) -> dict[str, Any]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    name_version(request.model_spec, name, version)
    response = grpc_service.metadata(registry, request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec = {"name": name, "signature_name": "", "version": str(response.model_spec.version.value)}
    return {"model_spec": spec, "metadata": {"signature_def": to_json(signatures)}}


def status(registry: Registry, name: str, version: int | None) -> dict[str, Any]:
    request = get_model_status_pb2.GetModelStatusRequest()
    name_version(request.model_spec, name, version)
    return to_json(grpc_service.status(registry, request))


def name_version(spec: Any, name: str, version: int | None) -> None:
    spec.name = name
    if version is not None:
        spec.version.value = version


def to_json(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
