"""What an exported model folder holds."""

import json

import numpy as np
import pytest

from features.artefacts import read_manifest
from features.errors import ArtefactError
from features.spec import RANKING_INPUTS, contract_hash

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def folder(exported):
    return exported.model("tiny", 2026010101)


@pytest.fixture(scope="module")
def loaded(folder):
    from serving.loaded_model import LoadedModel

    model = LoadedModel(folder, 1)
    yield model
    model.close()


def test_signature_lists_the_contract_inputs_with_their_types_and_shapes(loaded):
    tensors = loaded.signature().inputs
    assert {name: (tensor.dtype.name, tuple(tensor.shape)[1:]) for name, tensor in tensors.items()} == {
        spec.name: (spec.dtype, spec.shape) for spec in RANKING_INPUTS}
    assert {tensor.shape[0] for tensor in tensors.values()} == {None}


def test_one_user_row_is_repeated_over_the_candidates_inside_the_graph(loaded, tiny):
    from serving.golden import golden_inputs
    from serving.signature import repeat_rows

    inputs = golden_inputs(user_rows=12, item_rows=40, seed=3)[2]
    assert inputs["user_row"].shape == (1,)
    assert inputs["item_row"].shape == (7,)
    alone, repeated = loaded.predict(inputs), loaded.predict(repeat_rows(inputs))
    for name in ("ctr", "ctcvr", "semantic_weight"):
        assert alone[name].shape == (7,)
        np.testing.assert_array_equal(alone[name], repeated[name])


def test_exported_scores_equal_the_rankers_own(loaded, tiny):
    from serving.export import score_in_memory
    from serving.golden import golden_inputs

    ranker = tiny()
    for inputs in golden_inputs(user_rows=12, item_rows=40, seed=11):
        expected, got = score_in_memory(ranker, inputs), loaded.predict(inputs)
        for name, values in expected.items():
            np.testing.assert_allclose(got[name], values, rtol=0, atol=1e-6)


def test_only_the_variables_that_scoring_reads_are_saved(folder):
    import tensorflow as tf

    shapes = [shape for _, shape in tf.train.list_variables(str(folder / "variables" / "variables")) if shape]
    assert sorted(shapes) == [[12, 4], [40, 4]]  # the tables; not the 5,000 rows of optimiser slots


def test_ranker_without_a_gate_has_no_semantic_weight_output(export_tiny, tmp_path):
    from serving.loaded_model import LoadedModel

    model = LoadedModel(export_tiny(tmp_path / "5", gate=False), 5)
    assert set(model.signature().output_names) == {"ctr", "ctcvr"}
    model.close()


def test_manifest_names_contract_codebook_and_rows(folder):
    manifest = read_manifest(folder, kind="model", verify=True)
    assert manifest["contract_hash"] == contract_hash()
    assert manifest["codebook_version"] == "cb-2026-01-01"
    assert manifest["rows"] == {"items": 38, "users": 10}
    assert 0 <= manifest["golden_difference"] <= 1e-6


def test_indices_give_the_rows_they_were_exported_with(folder):
    from serving.entity_index import ITEM_FILE, EntityIndex

    index = EntityIndex.load(folder / ITEM_FILE)
    assert index.rows(np.array(["i0", "nobody", "i37", "i0"], object)).tolist() == [2, 1, 39, 2]
    assert index.rows(np.array([], object)).tolist() == []


def test_golden_requests_touch_unknown_ids_and_missing_codes(folder):
    requests = json.loads((folder / "assets.extra" / "golden_requests.json").read_text())["requests"]
    assert [len(request["inputs"]["item_row"]) for request in requests] == [3, 1, 7, 100]
    assert requests[0]["inputs"]["item_codes"] == [[-1] * 4] * 3
    assert requests[0]["inputs"]["user_row"] == [1]
    assert all(len(request["expected"]["ctr"]) == len(request["inputs"]["item_row"]) for request in requests)


def test_golden_scores_that_the_saved_model_does_not_give_refuse_the_export(folder, tmp_path):
    import shutil

    from serving.export import check_exported

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / "assets.extra" / "golden_requests.json"
    document = json.loads(file.read_text())
    document["requests"][3]["expected"]["ctcvr"][99] += 1e-5
    file.write_text(json.dumps(document))
    with pytest.raises(ArtefactError, match=r"e-0[56] apart.*allowed is 1e-06"):
        check_exported(copy)


def test_folder_that_is_no_saved_model_is_named(tmp_path):
    from serving.loaded_model import LoadedModel

    with pytest.raises(ArtefactError, match="not a SavedModel that loads"):
        LoadedModel(tmp_path, 1)
