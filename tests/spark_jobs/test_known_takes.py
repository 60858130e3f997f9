"""What was known of a user's takes when an impression was shown."""

import numpy as np

from spark_jobs.known_takes import ALWAYS_MS, known_features

DAY = 86_400_000
ROWS = np.array([10, 11, 12, 13], np.int32)  # the index rows of items 0-3


def features(takes, impressions):
    """takes: (item, event ms, ingest ms) by event time; impressions: (item, ms)."""
    taken, taken_ms, ingest_ms = (np.array(column, np.int64) for column in zip(*takes, strict=True))
    candidate, at_ms = (np.array(column, np.int64) for column in zip(*impressions, strict=True))
    return known_features(taken, taken_ms, ingest_ms, candidate, at_ms, ROWS)


def test_history_is_the_distinct_items_newest_first_then_padding():
    history, _, _ = features([(0, 1, 1), (1, 2, 2), (0, 3, 3)], [(2, 10_000)])
    assert history[0, :3].tolist() == [10, 11, 0]
    assert history.shape == (1, 50)


def test_a_take_is_known_two_seconds_after_its_ingestion_and_not_before():
    history, count, age = features([(0, 1_000, 5_000)], [(0, 6_999), (0, 7_000)])
    assert history[:, 0].tolist() == [0, 10]
    assert count.tolist() == [0, 1]
    assert age[0] == -1


def test_a_late_take_enters_at_its_place_in_event_time_once_it_is_known():
    takes = [(0, 1_000, 1_000), (1, 2_000, 90_000), (2, 3_000, 3_000)]
    history, _, _ = features(takes, [(3, 50_000), (3, 100_000)])
    assert history[0, :3].tolist() == [12, 10, 0]
    assert history[1, :4].tolist() == [12, 11, 10, 0]


def test_a_take_whose_producer_is_ahead_counts_once_its_time_has_come():
    takes = [(0, 1_000, 1_000), (1, 60_000, 2_000)]
    history, count, _ = features(takes, [(1, 60_000), (1, 60_001)])
    assert history[:, :2].tolist() == [[10, 0], [11, 10]]
    assert count.tolist() == [0, 1]


def test_repeat_features_count_and_date_the_takes_of_the_candidate():
    _, count, age = features([(0, 0, ALWAYS_MS), (0, DAY, ALWAYS_MS), (1, DAY, ALWAYS_MS)], [(0, 3 * DAY), (2, 3 * DAY)])
    assert count.tolist() == [2, 0]
    assert age.tolist() == [2.0, -1.0]


def test_only_the_newest_500_takes_count():
    takes = [(0, n, ALWAYS_MS) for n in range(3)] + [(1, 10 + n, ALWAYS_MS) for n in range(499)]
    _, count, _ = features(takes, [(0, DAY), (1, DAY)])
    assert count.tolist() == [1, 499]


def test_what_happens_at_or_after_an_impression_never_changes_its_features():
    rng = np.random.default_rng(5)
    event_ms = np.sort(rng.integers(0, 100_000, 60))
    ingest_ms = event_ms + rng.integers(0, 30_000, 60)
    takes = list(zip(rng.integers(0, 4, 60), event_ms, ingest_ms, strict=True))
    impressions = [(int(item), int(at)) for item, at in zip(rng.integers(0, 4, 20), rng.integers(0, 120_000, 20), strict=True)]
    whole = features(takes, impressions)
    for n, (item, at) in enumerate(impressions):
        before = [take for take in takes if take[2] + 2_000 <= at] or [(3, 0, 10**12)]
        alone = features(before, [(item, at)])
        assert all((a[n] == b[0]).all() for a, b in zip(whole, alone, strict=True))
