"""Smoothed click rate, against hand arithmetic."""

import numpy as np

from serving.fallback import smoothed_ctr


def test_rate_is_smoothed_with_a_hundred_impressions_at_five_percent():
    exposure, click = np.array([0, 1, 100, 10_000]), np.array([0, 1, 0, 700])
    np.testing.assert_allclose(smoothed_ctr(exposure, click), [0.05, 6 / 101, 0.025, 705 / 10_100])


def test_one_lucky_click_does_not_pass_a_record():
    lucky, record = smoothed_ctr(np.array([1, 1_000]), np.array([1, 90]))
    assert lucky < record


def test_more_clicks_than_impressions_stay_a_rate():
    assert smoothed_ctr(np.array([0]), np.array([10_000])).tolist() == [1.0]
