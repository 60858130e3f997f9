"""A changed feature is a new version of its view (features/README.md): done here, step by step, the old model being served."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features import spec
from features.clock import from_ms
from features.errors import CodebookMismatch
from features.layout import Layout
from tests.serving.conftest import NOW_MS

pytestmark = [pytest.mark.tf, pytest.mark.feast]
ITEMS = ["view-1", "view-2", "view-3"]  # the store is shared with other tests


def second_version():
    """Step 1: `item_maturity_v2`, counts of fourteen days, beside `item_maturity`, and a service that reads it."""
    from feast import FeatureService, FeatureView, Field, FileSource, PushSource
    from feast.data_format import ParquetFormat
    from feast.types import Int64

    from features.repo.entities import item
    from features.repo.views import item_profile, item_semantic_id, item_semantic_id_b

    rows = FileSource(name="maturity_v2", path="maturity_v2/*.parquet", file_format=ParquetFormat(), timestamp_field="tick")
    view = FeatureView(
        name="item_maturity_v2", entities=[item], source=PushSource(name="item_maturity_v2_push", batch_source=rows),
        schema=[Field(name="exposure_7d", dtype=Int64), Field(name="click_7d", dtype=Int64)])
    return view, FeatureService(name="ranking_v2_items", features=[view, item_semantic_id, item_semantic_id_b, item_profile])


def test_the_old_model_is_served_while_the_new_view_is_filled_and_its_model_trained(
    valkey, tmp_path, export_tiny, monkeypatch,
):
    from features.feast_config import FeatureStoreConfig, open_store
    from features.retrieval import OnlineFeatures
    from serving.assemble import assemble, read_rows
    from serving.compatibility import check_compatible
    from serving.served_model import ServedModel

    layout, config = Layout(tmp_path), FeatureStoreConfig(tmp_path, valkey)
    online = OnlineFeatures(config)
    online.apply()
    online.push_maturity(ITEMS, NOW_MS - 10_000, [10, 20, 30], [1, 2, 3])
    old = ServedModel.load(export_tiny(layout.model("tiny", 2026010101)))

    def served():
        return assemble(old, read_rows(online, "u0", ITEMS, NOW_MS)).inputs["item_stats"][:, 1:].tolist()
    before = served()
    assert before == [[10, 1], [20, 2], [30, 3]]

    view, service = second_version()  # steps 2 and 3: both are deployed, both are filled
    store = open_store(config, config.registry)
    store.apply([view, service])
    store.push("item_maturity_v2_push", pd.DataFrame({
        "item_id": ITEMS, "tick": [from_ms(NOW_MS) - timedelta(seconds=5)] * 3, "exposure_7d": [100, 200, 300],
        "click_7d": [10, 20, 30]}))
    assert served() == before, "the old model reads what it always read"
    online.push_maturity(ITEMS[:1], NOW_MS - 1_000, [11], [1])
    assert served()[0] == [11, 1], "and its view goes on being filled"
    found = store.get_online_features(service, {"item_id": ITEMS}).to_dict()
    assert (found["exposure_7d"], found["click_7d"]) == ([100, 200, 300], [10, 20, 30])

    stats = spec.INPUTS_BY_NAME["item_stats"]  # step 4: the contract of the code that trains on the new view
    inputs = tuple(replace(one, version=2) if one is stats else one for one in spec.RANKING_INPUTS)
    old_contract = spec.contract_hash()
    with monkeypatch.context() as new_code:
        new_code.setattr(spec, "RANKING_INPUTS", inputs)
        new_contract = spec.contract_hash()
        assert new_contract != old_contract
        folder = export_tiny(layout.model("tiny", 2026010201), contract_hash=new_contract)
        assert ServedModel.load(folder).version == 2026010201
        with pytest.raises(CodebookMismatch, match=old_contract):
            ServedModel.load(layout.model("tiny", 2026010101))
    with pytest.raises(CodebookMismatch, match=new_contract):
        ServedModel.load(folder)
    with pytest.raises(CodebookMismatch, match="train and export it again"):
        check_compatible({"ranker": "tiny", "version": 2026010201, "contract_hash": new_contract}, None)
    assert np.array_equal(served(), [[11, 1], [20, 2], [30, 3]]), "the old code serves the old model as before"
