"""An exported SavedModel scores as the ranker in memory does, for every ranker, to 1e-6."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

ITEMS, USERS = 300, 50


@pytest.fixture(scope="module", params=["base", "gatesid"])
def pair(request, tmp_path_factory):
    """(ranker in memory, the same exported and loaded); id rows and biases at random, since fresh ones are zero."""
    import model  # noqa: F401  (chooses the Keras version)
    from model.config import RankerConfig
    from model.rankers.base import Base
    from model.rankers.gatesid import GateSid
    from model.rankers.trunk import TableSizes
    from serving.export import write_saved_model
    from serving.loaded_model import LoadedModel

    kind = {"base": Base, "gatesid": GateSid}[request.param]
    ranker = kind(RankerConfig(ranker=request.param), TableSizes(items=ITEMS, users=USERS)).build_tables()
    random = np.random.default_rng(5)
    for variable in ranker.variables:
        if not np.any(variable.numpy()):
            variable.assign(random.normal(0, 0.3, variable.shape).astype(variable.dtype.as_numpy_dtype))
    folder = tmp_path_factory.mktemp(request.param) / "1"
    folder.mkdir()
    write_saved_model(ranker, folder)
    loaded = LoadedModel(folder, 1)
    yield ranker, loaded
    loaded.close()


def test_scores_are_equal_on_requests_of_every_kind(pair):
    from serving.export import score_in_memory
    from serving.golden import golden_inputs

    ranker, loaded = pair
    for seed in range(3):
        for inputs in golden_inputs(user_rows=USERS, item_rows=ITEMS, seed=seed):
            expected, got = score_in_memory(ranker, inputs), loaded.predict(inputs)
            assert set(got) == set(expected)
            for name, values in expected.items():
                assert values.std() > 0 or len(set(inputs["item_row"])) == 1, f"{name} does not depend on the item"
                np.testing.assert_allclose(got[name], values, rtol=0, atol=1e-6)


def test_gate_is_served_where_there_is_one(pair):
    ranker, loaded = pair
    assert ("semantic_weight" in loaded.signature().output_names) == (ranker.config.ranker == "gatesid")


def test_row_given_out_after_training_scores_as_out_of_vocabulary(pair):
    from serving.golden import golden_inputs

    _, loaded = pair
    inputs = golden_inputs(user_rows=USERS, item_rows=ITEMS)[2]
    later = inputs | {"item_row": np.full(7, ITEMS + 1_000, np.int32)}
    unknown = inputs | {"item_row": np.ones(7, np.int32)}
    np.testing.assert_array_equal(loaded.predict(later)["ctr"], loaded.predict(unknown)["ctr"])


def test_order_of_the_candidates_does_not_change_their_scores(pair):
    from features.spec import INPUTS_BY_NAME
    from serving.golden import golden_inputs

    _, loaded = pair
    inputs = golden_inputs(user_rows=USERS, item_rows=ITEMS)[3]
    order = np.random.default_rng(2).permutation(100)
    shuffled = {name: values[order] if INPUTS_BY_NAME[name].side == "item" else values for name, values in inputs.items()}
    np.testing.assert_allclose(loaded.predict(shuffled)["ctr"], loaded.predict(inputs)["ctr"][order], rtol=0, atol=1e-6)
