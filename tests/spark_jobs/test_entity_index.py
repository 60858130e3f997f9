"""Dense rows: append-only, in the order of the ids, and never moved."""

import pytest

from features.errors import ArtefactError
from features.names import TABLE_ITEM_INDEX, TABLE_USER_INDEX
from spark_jobs import entity_index
from tests.spark_jobs.conftest import event

pytestmark = pytest.mark.spark


def test_rows_start_at_two_and_never_move(home):
    home.add_items([("i5", "Oats", None, "01-01 00:00", None, "01-01 00:00"),
                    ("i9", "Rye", None, "01-05 00:00", None, "01-05 00:00")])
    home.add_events([event("a", "click", "u2", "i7", "01-01 10:00"), event("b", "click", "u1", "i7", "01-02 10:00"),
                     event("c", "click", "u0", "i1", "01-03 10:00")])
    home.run_all(entity_index, "2026-01-03")
    first = [("i5", 2), ("i7", 3)]
    assert home.rows(TABLE_ITEM_INDEX, "item_id", "row") == first
    assert home.rows(TABLE_USER_INDEX, "user_id", "row") == [("u1", 2), ("u2", 3)]
    assert home.run_all(entity_index, "2026-01-03").writes == {}
    run = home.run_all(entity_index, "2026-01-06")
    assert home.rows(TABLE_ITEM_INDEX, "item_id", "row") == [("i1", 4), *first, ("i9", 5)]
    assert home.rows(TABLE_USER_INDEX, "user_id", "row") == [("u0", 4), ("u1", 2), ("u2", 3)]
    assert run.facts["added"] == {"item_index": 2, "user_index": 1}


def test_without_a_log_there_is_nothing_to_number(home):
    with pytest.raises(ArtefactError, match="no Delta table at .*events: run the job that writes it first"):
        home.run_all(entity_index, "2026-01-03")
