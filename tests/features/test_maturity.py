"""Ages and the papers' slices, held to the golden boundaries."""

import numpy as np

from features import maturity
from features.clock import MS_PER_DAY


def test_every_golden_slice_boundary_is_reproduced(load_golden):
    for case in (case for case in load_golden("metrics") if case["function"] == "slice_masks"):
        given = {name: np.array(values) for name, values in case["inputs"].items()}
        masks = {
            "new_under_20_days": maturity.new_under_20_days(given["online_days"]),
            "popular_over_300_days": maturity.popular_over_300_days(given["online_days"]),
            "under_200_impressions_7d": maturity.under_200_impressions_7d(given["impression_7d"]),
            "warm_over_3_clicks_or_order_7d": maturity.warm_over_3_clicks_or_order_7d(given["click_7d"], given["order_7d"]),
            **maturity.smile_groups(given["impression_7d"], given["click_7d"], given["order_7d"]),
            **{name: maturity.pv_bucket(given["pv"]) == n for n, name in enumerate(maturity.pv_bucket_names())},
        }
        assert {name: mask.tolist() for name, mask in masks.items()} == case["expected"]


def test_age_is_whole_days_and_minus_one_before_publication():
    since = np.array([10 * MS_PER_DAY] * 4)
    at = np.array([10 * MS_PER_DAY, 11 * MS_PER_DAY - 1, 11 * MS_PER_DAY, 10 * MS_PER_DAY - 1])
    assert maturity.online_days(at, since).tolist() == [0, 0, 1, -1]


def test_an_item_nobody_has_met_is_new():
    unknown = maturity.ItemMaturity()
    assert (unknown.online_days, unknown.exposure_7d, unknown.click_7d) == (0, 0, 0)
    assert maturity.new_under_20_days(np.array([-1]))[0]
