"""TF Serving's API, as its users know it: one suite for the embedded server and, where its address is given, the real one.

For the real one set TF_SERVING_ADDRESS and TF_SERVING_REST_ADDRESS (host:port of gRPC and REST) and TF_SERVING_MODEL_BASE
(the folder that it polls as model `ranker`).
"""

import json
import os
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest

pytestmark = pytest.mark.tf

VERSION = 2026010101
SERVERS = ["embedded"] + (["tf_serving"] if "TF_SERVING_ADDRESS" in os.environ else [])


@pytest.fixture(scope="module", params=SERVERS)
def server(request, exported, serve, real_tf_serving, tmp_path_factory, wait_until):
    """Something with grpc_address and rest_address that serves the tiny model as `ranker`."""
    from serving.client import ModelClient

    source = exported.model("tiny", VERSION)
    if request.param == "embedded":
        root = tmp_path_factory.mktemp("serving")
        shutil.copytree(source, root / "ranker" / str(VERSION))
        with serve(root) as running:
            yield running
        return
    shutil.copytree(source, real_tf_serving.base / str(VERSION))
    client = ModelClient(real_tf_serving.grpc_address, "ranker", 5_000)
    wait_until(lambda: client.answering_version() == VERSION, 60)
    yield real_tf_serving
    client.close()
    shutil.rmtree(real_tf_serving.base / str(VERSION))


@pytest.fixture(scope="module")
def client(server):
    from serving.client import ModelClient

    client = ModelClient(server.grpc_address, "ranker", 5_000)
    yield client
    client.close()


@pytest.fixture(scope="module")
def golden(exported):
    """(inputs, expected) of the request with 7 candidates."""
    from serving.golden import read_golden

    return read_golden(exported.model("tiny", VERSION))[2]


@pytest.fixture(scope="module")
def rest(server):
    """rest(path, body=None) -> (status, document)."""
    def call(path, body=None):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://{server.rest_address}{path}", data, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as fault:
            return fault.code, json.load(fault)

    return call


def fault_of(call, *args, **kwargs):
    from serving.fault import ServingFault

    with pytest.raises(ServingFault) as caught:
        call(*args, **kwargs)
    return caught.value.code, str(caught.value)


class TestGrpc:
    def test_predict_gives_the_expected_scores_and_the_version(self, client, golden):
        inputs, expected = golden
        for version in (None, VERSION):
            prediction = client.predict(inputs, version)
            assert prediction.version == VERSION
            assert set(prediction.outputs) == {"ctr", "ctcvr", "semantic_weight"}
            for name, values in expected.items():
                np.testing.assert_allclose(prediction.outputs[name], values, rtol=0, atol=1e-6)

    def test_unknown_version_is_not_found(self, client, golden):
        code, message = fault_of(client.predict, golden[0], 17)
        assert code == "NOT_FOUND"
        assert "17" in message

    def test_unknown_model_is_not_found(self, server, golden):
        from serving.client import ModelClient

        other = ModelClient(server.grpc_address, "nobody", 5_000)
        assert fault_of(other.predict, golden[0])[0] == "NOT_FOUND"
        assert fault_of(other.answering_version)[0] == "NOT_FOUND"
        other.close()

    def test_missing_input_is_invalid_and_named(self, client, golden):
        inputs = {name: values for name, values in golden[0].items() if name != "item_stats"}
        code, message = fault_of(client.predict, inputs)
        assert code == "INVALID_ARGUMENT"
        assert "item_stats" in message

    def test_unknown_input_is_invalid_and_named(self, client, golden):
        code, message = fault_of(client.predict, golden[0] | {"price": np.zeros(7, np.float32)})
        assert code == "INVALID_ARGUMENT"
        assert "price" in message

    def test_wrong_type_is_invalid(self, client, golden):
        assert fault_of(client.predict, golden[0] | {"item_row": np.zeros(7, np.float32)})[0] == "INVALID_ARGUMENT"

    def test_wrong_shape_is_invalid(self, client, golden):
        assert fault_of(client.predict, golden[0] | {"item_stats": np.zeros((7, 4), np.float32)})[0] == "INVALID_ARGUMENT"

    def test_user_rows_that_fit_no_candidates_are_invalid(self, client, golden):
        assert fault_of(client.predict, golden[0] | {"user_row": np.ones(3, np.int32)})[0] == "INVALID_ARGUMENT"

    def test_row_beyond_the_table_is_invalid(self, client, golden):
        assert fault_of(client.predict, golden[0] | {"item_row": np.full(7, 40, np.int32)})[0] == "INVALID_ARGUMENT"

    def test_output_filter_chooses_outputs(self, client, golden):
        from tensorflow_serving.apis import predict_pb2

        from serving.client import fill

        request = predict_pb2.PredictRequest(output_filter=["ctcvr"])
        request.model_spec.name = "ranker"
        for name, values in golden[0].items():
            fill(request.inputs[name], values)
        assert list(client.call(client.predictions.Predict, request).outputs) == ["ctcvr"]
        request.output_filter[:] = ["price"]
        code, message = fault_of(client.call, client.predictions.Predict, request)
        assert code == "INVALID_ARGUMENT"
        assert "price" in message

    def test_unknown_signature_is_refused(self, client, golden):
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = "ranker"
        request.model_spec.signature_name = "train"
        code, message = fault_of(client.call, client.predictions.Predict, request)
        assert code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
        assert "train" in message

    def test_metadata_shows_the_signature(self, client):
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = "ranker"
        response = client.call(client.predictions.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)
        signature = signatures.signature_def["serving_default"]
        assert [dim.size for dim in signature.inputs["history_codes"].tensor_shape.dim] == [-1, 50, 4]
        assert response.model_spec.version.value == VERSION

    def test_metadata_needs_a_known_field(self, client):
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = "ranker"
        assert fault_of(client.call, client.predictions.GetModelMetadata, request)[0] == "INVALID_ARGUMENT"
        request.metadata_field.append("weather")
        assert fault_of(client.call, client.predictions.GetModelMetadata, request)[0] == "INVALID_ARGUMENT"

    def test_status_says_available(self, client):
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "ranker"
        line = client.call(client.models.GetModelStatus, request).model_version_status[0]
        assert (line.version, line.state, line.status.error_code) == (VERSION, 30, 0)
        assert client.answering_version() == VERSION


class TestRest:
    def test_columnar_format(self, rest, golden):
        inputs, expected = golden
        status, reply = rest("/v1/models/ranker:predict", {"inputs": {name: v.tolist() for name, v in inputs.items()}})
        assert status == 200
        assert set(reply["outputs"]) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(reply["outputs"][name], values, rtol=0, atol=1e-6)

    def test_row_format_names_every_input_in_every_row(self, rest, golden):
        from serving.signature import repeat_rows

        inputs, expected = golden
        repeated = repeat_rows(inputs)
        rows = [{name: values[n].tolist() for name, values in repeated.items()} for n in range(7)]
        status, reply = rest(
            f"/v1/models/ranker/versions/{VERSION}:predict", {"signature_name": "serving_default", "instances": rows})
        assert status == 200
        assert len(reply["predictions"]) == 7
        for name, values in expected.items():
            np.testing.assert_allclose([row[name] for row in reply["predictions"]], values, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("body", [
        b"{", b"[]", {"instances": []}, {"inputs": {}}, {"signature_name": 3, "inputs": {}}, {"instances": [1, 2]},
        {"neither": 1}, {"instances": [{"item_row": 1}]}, {"signature_name": "train", "inputs": {}}])
    def test_bad_body_is_a_400_with_an_error(self, rest, body):
        status, reply = rest("/v1/models/ranker:predict", body)
        assert (status, list(reply)) == (400, ["error"])

    def test_wrong_value_is_a_400(self, rest, golden):
        columns = {name: values.tolist() for name, values in golden[0].items()}
        for wrong in (["x"] * 7, [1.5] * 7, [[1]] * 7):
            assert rest("/v1/models/ranker:predict", {"inputs": columns | {"item_row": wrong}})[0] == 400

    @pytest.mark.parametrize("path", ["/v1/models/nobody", "/v1/models/ranker/versions/17", "/v1/models/nobody/metadata"])
    def test_unknown_model_or_version_is_a_404(self, rest, path):
        status, reply = rest(path)
        assert (status, list(reply)) == (404, ["error"])

    def test_predict_of_an_unknown_model_is_a_404(self, rest, golden):
        columns = {name: values.tolist() for name, values in golden[0].items()}
        status, reply = rest("/v1/models/nobody:predict", {"inputs": columns})
        assert status == 404
        assert reply["error"].startswith("Servable not found for request: Latest(nobody)")

    def test_status(self, rest):
        for path in ("/v1/models/ranker", f"/v1/models/ranker/versions/{VERSION}"):
            status, reply = rest(path)
            assert status == 200
            assert reply["model_version_status"][0] == {
                "version": str(VERSION), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}

    def test_metadata(self, rest):
        status, reply = rest("/v1/models/ranker/metadata")
        assert status == 200
        assert reply["model_spec"] == {"name": "ranker", "signature_name": "", "version": str(VERSION)}
        signature = reply["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["method_name"] == "tensorflow/serving/predict"
        assert signature["inputs"]["item_stats"]["dtype"] == "DT_FLOAT"
        assert [dim["size"] for dim in signature["inputs"]["item_stats"]["tensor_shape"]["dim"]] == ["-1", "3"]
        assert set(signature["outputs"]) == {"ctr", "ctcvr", "semantic_weight"}

    def test_address_that_is_none_is_refused(self, rest):
        assert rest("/v2/models/ranker")[0] in (400, 404)
