"""Feast's point-in-time join against a reference that looks at every row."""

import bisect
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from features.errors import DataError
from features.retrieval import FeatureStoreConfig, historical_maturity

pytestmark = pytest.mark.feast
START_MS = 1_767_225_600_000
TICK_MS = 10_000


def questions(item_ids, event_ms):
    return pd.DataFrame({"event_id": [f"e{n}" for n in range(len(item_ids))], "item_id": list(item_ids),
                         "event_time": pd.to_datetime(np.asarray(event_ms), unit="ms", utc=True)})


def newest_readable(rows, item_id, event_ms, delay_ms):
    """The last row of the item with tick + delay <= event time, by walking its ticks."""
    ticks = [tick for tick, *_ in rows[item_id]]
    place = bisect.bisect_right(ticks, event_ms - delay_ms)
    return rows[item_id][place - 1] if place else None


@pytest.fixture(scope="module")
def random_lake(tmp_path_factory, write_maturity):
    """2,000 rows of 40 items; and 3,000 questions, many on the edge of a tick's availability."""
    home, random = tmp_path_factory.mktemp("lake"), np.random.default_rng(7)
    rows = defaultdict(list)
    drawn = zip(random.integers(0, 40, 2_000).tolist(), random.integers(0, 25_000, 2_000).tolist(), strict=True)
    for item, tick in sorted(set(drawn)):
        rows[f"i{item}"].append((START_MS + tick * TICK_MS, int(random.integers(0, 500)), int(random.integers(0, 50))))
    flat = [(item, *row) for item, listed in rows.items() for row in listed]
    write_maturity(home, *zip(*flat, strict=True))
    asked = [f"i{item}" for item in random.integers(0, 44, 3_000)]
    on_a_tick = START_MS + random.integers(0, 26_000, 3_000) * TICK_MS
    return home, rows, questions(asked, on_a_tick + random.choice([-1, 0, 1, 1_999, 2_000, 2_001, 5_000], 3_000))


@pytest.mark.parametrize("delay_ms", [0, 2_000])
def test_every_answer_is_the_newest_row_that_was_readable(random_lake, delay_ms):
    home, rows, asked = random_lake
    found = historical_maturity(FeatureStoreConfig(home, "127.0.0.1:1"), asked, delay_ms)
    assert found["event_id"].tolist() == asked["event_id"].tolist()
    assert found["event_time"].tolist() == asked["event_time"].tolist()
    answered = 0
    for question, answer in zip(asked.itertuples(), found.itertuples(), strict=True):
        wanted = newest_readable(rows, question.item_id, question.event_time.value // 1_000_000, delay_ms)
        if wanted is None:
            assert (answer.tick is pd.NaT, answer.exposure_7d is pd.NA, answer.click_7d is pd.NA) == (True, True, True)
        else:
            assert (answer.tick.value // 1_000_000, answer.exposure_7d, answer.click_7d) == wanted
            answered += 1
    assert 2_000 < answered < 3_000


def test_a_row_becomes_readable_exactly_when_its_delay_has_passed(tmp_path, write_maturity):
    write_maturity(tmp_path, ["a", "a"], [START_MS, START_MS + TICK_MS], [1, 2], [0, 0])
    found = historical_maturity(FeatureStoreConfig(tmp_path, "127.0.0.1:1"), questions(
        "aaaa", [START_MS + 1_999, START_MS + 2_000, START_MS + TICK_MS + 1_999, START_MS + TICK_MS + 2_000]))
    assert found["exposure_7d"].tolist() == [pd.NA, 1, 1, 2]


def test_impressions_that_share_item_and_time_are_all_kept(tmp_path, write_maturity):
    write_maturity(tmp_path, ["a"], [START_MS], [5], [1])
    found = historical_maturity(FeatureStoreConfig(tmp_path, "127.0.0.1:1"), questions("aabab", [START_MS + 60_000] * 5))
    assert found["event_id"].tolist() == ["e0", "e1", "e2", "e3", "e4"]
    assert found["exposure_7d"].tolist() == [5, 5, pd.NA, 5, pd.NA]


def test_an_older_version_of_the_table_answers_as_it_did(tmp_path, write_maturity):
    config = FeatureStoreConfig(tmp_path, "127.0.0.1:1")
    write_maturity(tmp_path, ["a"], [START_MS], [5], [1])
    write_maturity(tmp_path, ["a"], [START_MS + TICK_MS], [6], [1])
    asked = questions("a", [START_MS + 60_000])
    assert [historical_maturity(config, asked, version=version)["exposure_7d"][0] for version in (0, 1, None)] == [5, 6, 6]


def test_no_question_has_no_answer(tmp_path, write_maturity):
    write_maturity(tmp_path, ["a"], [START_MS], [5], [1])
    found = historical_maturity(FeatureStoreConfig(tmp_path, "127.0.0.1:1"), questions([], []))
    assert found.columns.tolist() == ["event_id", "item_id", "event_time", "exposure_7d", "click_7d", "tick"]
    assert len(found) == 0


def test_a_repeated_event_id_is_refused(tmp_path, write_maturity):
    write_maturity(tmp_path, ["a"], [START_MS], [5], [1])
    asked = questions("aa", [START_MS + 60_000] * 2).assign(event_id="same")
    with pytest.raises(DataError, match="event_id must be unique"):
        historical_maturity(FeatureStoreConfig(tmp_path, "127.0.0.1:1"), asked)
