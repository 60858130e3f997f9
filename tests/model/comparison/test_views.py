"""Views of an item before a row's day, counted by hand in the frame."""

import json

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from features.layout import Layout
from model.codebook_health import HealthLimits
from model.comparison.plan import Plan, Run
from model.comparison.views import views_before, views_counted
from model.slices import evaluation_slices

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]


@pytest.fixture
def run(tmp_path, write_lake):
    layout = Layout(tmp_path)
    write_lake(layout, DAYS, rows=90)
    plan = Plan(DAYS[1], "2026-01-04", 0, (), (), None, DAYS[1], 32, ("clicked",), {"training_frame": 2})
    return Run(plan, layout, tmp_path / "run", HealthLimits())


def test_views_are_the_rows_of_earlier_days_whatever_day_the_run_begins_with(run):
    frame = DeltaTable(run.home.table("training_frame")).to_pyarrow_table()
    rows = pa.table({"item_id": ["i3", "i3", "i3"], "ds": DAYS})
    expected = [sum(item == "i3" and ds < day for item, ds in zip(
        frame["item_id"].to_pylist(), frame["ds"].to_pylist(), strict=True)) for day in DAYS]
    assert expected[2] > expected[1] > expected[0] == 0
    np.testing.assert_array_equal(views_before(run, rows), expected)


def test_views_are_scaled_by_the_share_of_user_days_in_the_frame(run):
    rows = pa.table({"item_id": ["i3"], "ds": [DAYS[2]]})
    whole = views_before(run, rows)
    record = run.home.run_manifest("training_frame", "2026-01-04")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"user_day_share": 0.25}))
    np.testing.assert_allclose(views_before(run, rows), 4 * whole)
    assert views_counted(run) == {"from": DAYS[0], "user_day_share": 0.25}


def test_slices_by_views_and_by_smiles_rules():
    views = np.array([0, 99, 100, 499, 20_000])
    masks = evaluation_slices(np.zeros(5), np.array([0, 199, 200, 5, 5]), np.array([3, 4, 0, 3, 9]), views)
    assert masks["pv_bucket_0_100"].tolist() == [True, True, False, False, False]
    assert masks["pv_bucket_100_500"].tolist() == [False, False, True, True, False]
    assert masks["pv_bucket_20000_inf"].tolist() == [False] * 4 + [True]
    assert masks["under_200_impressions_7d"].tolist() == [True, True, False, True, True]
    assert masks["over_3_clicks_7d"].tolist() == [False, True, False, False, True]
    assert "pv_bucket_0_100" not in evaluation_slices(np.zeros(1), np.zeros(1), np.zeros(1))
