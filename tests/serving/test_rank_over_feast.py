"""The ranking call over the real online store: the rows pushed are the tensors and the reply."""

import numpy as np
import pytest

pytestmark = [pytest.mark.tf, pytest.mark.feast]


@pytest.fixture(scope="module")
def online(valkey, tmp_path_factory):
    from features.retrieval import FeatureStoreConfig, OnlineFeatures

    features = OnlineFeatures(FeatureStoreConfig(tmp_path_factory.mktemp("feast"), valkey))
    features.apply()
    return features


@pytest.fixture
def filled(online, store):
    """The real store, holding what the store in memory holds."""
    items = {item: row for item, row in store.items.items() if item != "i7"}
    rows, ids = list(items.values()), list(items)
    online.push_maturity(ids, *([row[name] for row in rows] for name in ("maturity_tick_ms", "exposure_7d", "click_7d")))
    online.push_semantic_ids(ids, [row["codes"] for row in rows], rows[0]["codebook_version"], rows[0]["maturity_tick_ms"])
    published, titles = ([row[name] for row in rows] for name in ("published_at_ms", "title"))
    online.push_profiles(ids, published, titles, rows[0]["maturity_tick_ms"])
    for user, takes in store.takes.items():
        online.push_user_history([user], [[item for item, _ in takes]], [[ms for _, ms in takes]], takes[-1][1])
    store.items.pop("i7")
    return online


def test_real_store_and_store_in_memory_give_equal_tensors(filled, store, exported):
    from serving.assemble import assemble, read_rows
    from serving.served_model import ServedModel

    model = ServedModel.load(exported.model("tiny", 2026010101))
    candidates = ["i1", "i2", "nobody", "i7", *(f"i{n}" for n in range(8, 38))]
    for user in ("u0", "nobody"):
        real, memory = (assemble(model, read_rows(reader, user, candidates, 1_767_225_600_000)) for reader in (filled, store))
        for name, values in memory.inputs.items():
            np.testing.assert_array_equal(real.inputs[name], values, err_msg=name)
        for name, mask in memory.item_defaults.items():
            np.testing.assert_array_equal(real.item_defaults[name], mask, err_msg=name)
        assert real.user_defaults == memory.user_defaults


def test_store_that_is_not_there_is_said_and_not_waited_for(tmp_path, free_port, online):
    import shutil
    import time

    from features.retrieval import FeatureStoreConfig, OnlineFeatures
    from serving.assemble import read_rows

    absent = OnlineFeatures(FeatureStoreConfig(tmp_path, f"127.0.0.1:{free_port()}"))
    shutil.copytree(online.config.home / "feast", tmp_path / "feast")
    read_rows(absent, "u0", ["i1"], 1_767_225_600_000)
    began = time.monotonic()
    rows = read_rows(absent, "u0", ["i1"], 1_767_225_600_000)
    assert "does not answer" in rows.store_fault
    assert time.monotonic() - began < 1
