"""AUC, GAUC and the papers' slices."""

import numpy as np
import pytest

from model.metrics import RankedRows, auc, gauc, log_loss, slice_masks


def close(value, expected):
    return value is expected is None or value == pytest.approx(expected, rel=1e-9, abs=1e-11)


def test_auc_and_gauc_equal_the_golden_numbers(load_golden):
    measures = {"auc": auc, "gauc": gauc}
    cases = [case for case in load_golden("metrics") if case["function"] in measures]
    assert len(cases) >= 2
    for case in cases:
        value = measures[case["function"]](**{name: np.asarray(column) for name, column in case["inputs"].items()})
        assert close(value, case["expected"]["value"]), case["name"]


def test_slices_equal_the_golden_masks_and_figures(load_golden):
    columns = ("online_days", "pv", "impression_7d", "click_7d", "order_7d")
    for case in load_golden("metrics"):
        if case["function"] in ("auc", "gauc"):
            continue
        given = {name: np.asarray(column) for name, column in case["inputs"].items()}
        masks = slice_masks(**{name: given[name] for name in columns})
        assert set(case["expected"]) <= set(masks)
        for name, expected in case["expected"].items():
            if case["function"] == "slice_masks":
                assert masks[name].tolist() == expected, name
                continue
            users, labels, scores = (given[column][masks[name]] for column in ("users", "labels", "scores"))
            assert masks[name].sum() == expected["rows"]
            assert close(auc(labels, scores), expected["auc"]), name
            assert close(gauc(users, labels, scores), expected["gauc"]), name


def test_weights_count_a_row_as_often_as_they_say():
    rng = np.random.default_rng(3)
    labels, scores, times = rng.random(60) < 0.4, rng.integers(0, 9, 60), rng.integers(0, 4, 60)
    weighted, total = RankedRows.of(np.zeros(60), labels, scores).auc_by_group(times.astype(float))
    assert weighted[0] == pytest.approx(auc(np.repeat(labels, times), np.repeat(scores, times)), rel=1e-12)
    assert total[0] == times.sum()


def test_auc_equals_counting_every_pair():
    rng = np.random.default_rng(4)
    labels, scores = rng.random(80) < 0.3, rng.integers(0, 12, 80)
    gaps = np.sign(scores[labels][:, None].astype(int) - scores[~labels][None])
    assert auc(labels, scores) == pytest.approx((gaps + 1).mean() / 2, rel=1e-12)


def test_no_rows_have_no_figures():
    empty = np.empty(0)
    assert auc(empty, empty) is None
    assert gauc(empty, empty, empty) is None
    assert log_loss(empty, empty) is None


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        auc(np.array([0, 1]), np.array([0.5, np.nan]))


def test_log_loss_of_a_coin_is_ln_2():
    assert log_loss(np.array([0, 1, 1]), np.full(3, 0.5)) == pytest.approx(np.log(2))
