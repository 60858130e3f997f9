"""Attribution of responses, case by case; the rule is in features/README.md."""

import numpy as np
import pytest

from spark_jobs.labels import ATTRIBUTION_MS, NO_REQUEST, attribute

HOUR = 3_600_000


def attributed(impressions, responses):
    """impressions, responses: (pair, hour, request); impressions oldest first."""
    def columns(rows):
        pair, hour, request = zip(*rows, strict=True)
        return np.array(pair), (np.array(hour) * HOUR).astype(np.int64), np.array(request)
    return attribute(*columns(impressions), *columns(responses)).tolist()


def test_a_response_goes_to_the_newest_impression_before_it():
    shown = [(1, 1, NO_REQUEST), (1, 3, NO_REQUEST), (1, 5, NO_REQUEST)]
    assert attributed(shown, [(1, 4, NO_REQUEST)]) == [1]


def test_a_response_at_the_moment_of_an_impression_is_its_own():
    assert attributed([(1, 4, NO_REQUEST)], [(1, 4, NO_REQUEST)]) == [0]


def test_a_response_before_every_impression_has_none():
    assert attributed([(1, 4, NO_REQUEST)], [(1, 3.999, NO_REQUEST)]) == [-1]


def test_another_pair_of_user_and_item_gets_nothing():
    assert attributed([(1, 1, NO_REQUEST), (2, 2, NO_REQUEST)], [(3, 3, NO_REQUEST), (2, 3, NO_REQUEST)]) == [-1, 1]


@pytest.mark.parametrize(("hours", "expected"), [(24, [0]), (24.001, [-1])])
def test_a_response_belongs_to_an_impression_for_24_hours(hours, expected):
    assert ATTRIBUTION_MS == 24 * HOUR
    assert attributed([(1, 0, NO_REQUEST)], [(1, hours, NO_REQUEST)]) == expected


def test_equal_request_ids_win_over_a_newer_impression_of_another_request():
    assert attributed([(1, 1, 7), (1, 2, 8)], [(1, 3, 7)]) == [0]


def test_a_request_id_that_no_impression_has_gets_nothing():
    assert attributed([(1, 1, 7), (1, 2, 8)], [(1, 3, 9)]) == [-1]


def test_a_side_without_a_request_id_fits_every_request():
    assert attributed([(1, 1, 7), (1, 2, NO_REQUEST)], [(1, 3, 7)]) == [1]
    assert attributed([(1, 1, NO_REQUEST), (1, 2, 7)], [(1, 3, 7)]) == [1]
    assert attributed([(1, 1, 7), (1, 2, 8)], [(1, 3, NO_REQUEST)]) == [1]


def test_of_two_impressions_at_once_the_last_listed_gets_the_response():
    assert attributed([(1, 1, NO_REQUEST), (1, 1, NO_REQUEST)], [(1, 1, NO_REQUEST)]) == [1]


def test_responses_without_impressions_are_answered():
    nothing = np.empty(0, np.int64)
    assert attribute(nothing, nothing, nothing, np.array([1]), np.array([5]), np.array([NO_REQUEST])).tolist() == [-1]


def test_attribution_agrees_with_a_search_through_all_pairs():
    rng = np.random.default_rng(3)
    shown = sorted(((int(p), int(h), int(r)) for p, h, r in
                    zip(rng.integers(0, 6, 80), rng.integers(0, 60, 80), rng.integers(-1, 4, 80), strict=True)),
                   key=lambda row: row[1])
    taken = [(int(p), int(h), int(r)) for p, h, r in
             zip(rng.integers(0, 6, 60), rng.integers(0, 60, 60), rng.integers(-1, 4, 60), strict=True)]
    expected = []
    for pair, hour, request in taken:
        fits = [n for n, (p, h, r) in enumerate(shown)
                if p == pair and hour - h >= 0 and (r == request or NO_REQUEST in (r, request))]
        newest = max(fits, default=-1)
        expected.append(newest if newest >= 0 and hour - shown[newest][1] <= 24 else -1)
    assert attributed(shown, taken) == expected
    assert {-1} < set(expected)
