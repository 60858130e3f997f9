"""TF Serving's JSON encoding of tensors."""

import base64
import json

import numpy as np
import pytest

from serving.fault import ServingFault
from serving.rest_format import decode, encode

TWO = {"x": np.int32, "y": np.float32}


def decoded(document, dtypes=TWO):
    return decode(json.dumps(document).encode(), lambda signature: dtypes)


def test_rows_become_columns():
    signature, inputs, rows = decoded({"instances": [{"x": 1, "y": [0.5, 1]}, {"x": 2, "y": [2, 3]}]})
    assert (signature, rows) == ("", True)
    assert inputs["x"].tolist() == [1, 2]
    assert inputs["x"].dtype == np.int32
    assert inputs["y"].tolist() == [[0.5, 1], [2, 3]]


def test_columns_stay_columns():
    signature, inputs, rows = decoded({"signature_name": "s", "inputs": {"x": [[1], [2]], "y": 3}})
    assert (signature, rows) == ("s", False)
    assert inputs["x"].shape == (2, 1)
    assert inputs["y"].shape == ()


@pytest.mark.parametrize(
    "document", [{"instances": [1, 2, 3]}, {"inputs": [1, 2, 3]}, {"instances": [{"x": 1}, {"x": 2}, {"x": 3}]}])
def test_single_input_may_go_unnamed(document):
    assert decoded(document, {"x": np.float32})[1]["x"].tolist() == [1, 2, 3]


def test_bytes_come_as_text_or_base64():
    given = [{"b64": base64.b64encode(b"\x00\xff").decode()}, "é"]
    assert decoded({"inputs": given}, {"x": object})[1]["x"].tolist() == [b"\x00\xff", "é".encode()]


@pytest.mark.parametrize(("document", "named"), [
    ({"instances": [{"x": 1, "y": 1}, {"x": 1}]}, "element 1 of 'instances': missing inputs ['y']"),
    ({"inputs": {"x": 1, "y": 1, "z": 1}}, "unknown inputs ['z']"),
    ({"inputs": {"x": [1, 2.5], "y": 1}}, "input x expects int32, got float64"),
    ({"inputs": {"x": 3_000_000_000, "y": 1}}, "input x has a value outside the range of int32"),
    ({"inputs": {"x": 1, "y": "a"}}, "input y expects float32"),
    ({"inputs": {"x": 1, "y": None}}, "input y expects float32"),
    ({"inputs": {"x": [[1], [2, 3]], "y": 1}}, "input x: the lists in it have different lengths"),
    ({"instances": "x"}, "'instances' expects a non-empty list"),
    ({"instances": [1], "inputs": [1]}, "exactly one of the keys 'instances' and 'inputs', got both")])
def test_fault_names_the_place(document, named):
    with pytest.raises(ServingFault) as caught:
        decoded(document)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert named in str(caught.value)


def test_outputs_by_row_and_by_column():
    outputs = {"a": np.array([0.1, 0.2], np.float32), "b": np.array([[1], [2]])}
    assert encode(outputs, rows=True) == {"predictions": [{"a": 0.1, "b": [1]}, {"a": 0.2, "b": [2]}]}
    assert encode(outputs, rows=False) == {"outputs": {"a": [0.1, 0.2], "b": [[1], [2]]}}


def test_single_output_is_bare():
    outputs = {"a": np.array([1.5, 2.5])}
    assert encode(outputs, rows=True) == {"predictions": [1.5, 2.5]}
    assert encode(outputs, rows=False) == {"outputs": [1.5, 2.5]}


def test_float32_reads_back_as_the_same_number():
    values = np.random.default_rng(1).random(1_000, np.float32)
    text = json.dumps(encode({"a": values}, rows=False))
    assert np.array_equal(np.array(json.loads(text)["outputs"], np.float32), values)


def test_rows_need_outputs_of_one_length():
    with pytest.raises(ServingFault, match="no common leading length"):
        encode({"a": np.zeros(2), "b": np.zeros(3)}, rows=True)
