"""Planted leaks are found: labels of the day that is scored, values from after the impression, an input that is the label."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.errors import DataError
from features.layout import Layout
from model.dataset import PinnedTable, no_codes, read_day
from model.leakage import refuse_leaks

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]


@pytest.fixture
def layout(tmp_path, write_lake):
    layout = Layout(tmp_path)
    write_lake(layout, DAYS, rows=200)
    return layout


def frame(layout):
    return PinnedTable.at(layout.table("training_frame"))


def replace_column(layout, name, change):
    """Write the frame again with change(table) for one column."""
    path = str(layout.table("training_frame"))
    table = DeltaTable(path).to_pyarrow_table()
    place = table.schema.get_field_index(name)
    write_deltalake(path, table.set_column(place, name, change(table)), partition_by=["ds"], mode="overwrite")


def test_an_honest_frame_passes(layout):
    refuse_leaks(frame(layout), DAYS)
    assert len(read_day(frame(layout), DAYS[0])) == 200


def test_counts_read_after_the_impression_are_found(layout):
    later = datetime.timedelta(seconds=1)
    replace_column(layout, "maturity_tick", lambda table: pa.array(
        [time + later if ds == DAYS[1] else None for time, ds in zip(
            table["event_time"].to_pylist(), table["ds"].to_pylist(), strict=True)], pa.timestamp("us", "UTC")))
    with pytest.raises(DataError, match="200 rows of 2026-01-02 have a maturity_tick after their event_time"):
        refuse_leaks(frame(layout), DAYS)


def test_an_input_made_of_the_same_days_labels_is_found(layout):
    rng = np.random.default_rng(0)
    replace_column(layout, "click_7d", lambda table: pa.array(
        (10 * table["clicked"].to_numpy() + rng.integers(0, 11, table.num_rows)).astype(np.int64)))
    with pytest.raises(DataError, match=r"click_7d alone tells `clicked` with AUC 0\.9"):
        refuse_leaks(frame(layout), DAYS)


def test_a_count_that_holds_the_impressions_own_click_is_found(layout):
    """However little one click more tells: AUC of click_7d stays near a half."""
    replace_column(layout, "click_7d", lambda table: pa.compute.add(table["click_7d"], table["clicked"].cast(pa.int64())))
    with pytest.raises(DataError, match="rows of 2026-01-01 have other counts than a row of the same item and maturity_tick"):
        refuse_leaks(frame(layout), DAYS)


def publish(layout):
    """The maturity table that the frame's counts are of."""
    table = DeltaTable(str(layout.table("training_frame"))).to_pyarrow_table()
    rows = table.group_by(["item_id", "maturity_tick", "exposure_7d", "click_7d", "ds"]).aggregate([])
    write_deltalake(str(layout.table("item_maturity_rebuilt")), rows.rename_columns(
        ["tick" if name == "maturity_tick" else name for name in rows.column_names]), partition_by=["ds"])
    return PinnedTable.at(layout.table("item_maturity_rebuilt"))


def clicks_of_the_day(table):
    """click_7d plus every click of the item on that day: the same for all rows of an item and day."""
    rows = table.to_pandas()
    return pa.array(rows["click_7d"] + rows.groupby(["item_id", "ds"])["clicked"].transform("sum"))


def test_a_count_that_holds_the_whole_day_is_found_by_what_was_published(layout):
    published = publish(layout)
    refuse_leaks(frame(layout), DAYS, published)
    replace_column(layout, "click_7d", clicks_of_the_day)
    with pytest.raises(DataError, match="rows of 2026-01-02 have other counts than were published at their maturity_tick"):
        refuse_leaks(frame(layout), DAYS, published)


def test_counts_of_an_item_of_which_nothing_was_published_are_found(layout):
    replace_column(layout, "maturity_tick", lambda table: pa.nulls(table.num_rows, pa.timestamp("us", "UTC")))
    with pytest.raises(DataError, match="rows of 2026-01-03 have counts though nothing was published of their item"):
        refuse_leaks(frame(layout), DAYS)


def test_a_repeat_count_that_holds_the_impressions_own_take_is_found(layout):
    replace_column(layout, "repeat_count", lambda table: pa.compute.add(
        table["repeat_count"], table["clicked"].cast(pa.float32())))
    with pytest.raises(DataError, match="rows of 2026-01-01 have a repeat_count that their history_rows do not know of"):
        refuse_leaks(frame(layout), DAYS)


def test_a_history_that_holds_the_present_is_found(layout):
    replace_column(layout, "history_rows", lambda table: pa.array(
        [[item] if clicked else [] for item, clicked in zip(
            table["item_row"].to_pylist(), table["clicked"].to_pylist(), strict=True)], pa.list_(pa.int32())))
    with pytest.raises(DataError, match="candidate is the newest of history_rows alone tells `clicked`"):
        refuse_leaks(frame(layout), DAYS)


def fresh_learner():
    from model.checkpoints import fresh_ranker
    from model.config import RankerConfig, TrainConfig
    from model.learner import Learner
    from model.rankers.trunk import TableSizes

    ranker, training = fresh_ranker(RankerConfig("base", hidden=(8,)), TableSizes(32, 10), seed=1), TrainConfig(batch_size=32)
    return Learner(ranker, ranker.optimiser(training), training)


@pytest.mark.tf
def test_a_day_that_was_learnt_from_is_not_scored(layout):
    learner, codes = fresh_learner(), no_codes(32)
    first, second = (read_day(frame(layout), ds) for ds in DAYS[:2])
    learner.learn(second, codes, seed=1)
    for learnt in (first, second):
        with pytest.raises(DataError, match="learnt up to 2026-01-02 and was given"):
            learner.predict(learnt, codes)
    assert len(learner.predict(read_day(frame(layout), DAYS[2]), codes)["ctr"]) == 200


@pytest.mark.tf
def test_scores_of_a_day_do_not_depend_on_its_labels_but_those_of_the_next_do(layout, tmp_path):
    """The whole training with the labels of day 2 turned round: day 2 scores the same to the bit, day 3 does not."""
    from datetime import date

    import pyarrow.parquet as pq

    from model.config import RankerConfig, TrainConfig
    from model.train_ranker import Job, run

    def scores(name):
        asked = Job(layout, RankerConfig("base", hidden=(8,)), TrainConfig(batch_size=32, labels=("clicked",)), 1,
                    date(2026, 1, 1), date(2026, 1, 4), None, output=Layout(tmp_path / name))
        run(asked, say=lambda line: None)
        return [pq.read_table(asked.predictions / f"{ds}.parquet")["ctr"].to_numpy() for ds in DAYS]

    as_they_are = scores("before")
    replace_column(layout, "ordered", lambda table: pa.array(np.zeros(table.num_rows, np.int8)))
    replace_column(layout, "clicked", lambda table: pa.array(np.where(
        table["ds"].to_numpy() == DAYS[1], 1 - table["clicked"].to_numpy(), table["clicked"].to_numpy()).astype(np.int8)))
    turned = scores("after")
    np.testing.assert_array_equal(turned[0], as_they_are[0])
    np.testing.assert_array_equal(turned[1], as_they_are[1])
    assert not np.allclose(turned[2], as_they_are[2])
