"""Rankers side by side: figures against scikit-free hand counts, intervals, the report and its table."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ArtefactError, DataError
from features.layout import Layout
from model.evaluate import evaluate, main, publish
from model.evaluation import Rows, compare
from model.evaluation_table import table_lines
from model.intervals import UserDayInterval
from model.metrics import auc, gauc
from model.slices import age_buckets, evaluation_slices

DAYS = ["2026-01-01", "2026-01-02"]
N = 400


def day_rows(ds, noise, gate=False, ordered=True, seed=0):
    """A day of predictions: clicks of known chance, scores that see it through noise."""
    rng = np.random.default_rng([seed, int(ds[-2:])])
    chance = rng.random(N)
    clicked = (rng.random(N) < chance).astype(np.int8)
    seen = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + noise * np.random.default_rng(7).normal(size=N))))
    return pa.table({
        "event_id": [f"{ds}-{n}" for n in range(N)], "user_id": [f"u{n}" for n in rng.integers(0, 25, N)],
        "item_id": [f"i{n}" for n in rng.integers(0, 50, N)], "clicked": clicked, "ordered": clicked * (rng.random(N) < 0.5),
        "online_days": rng.integers(-1, 400, N), "exposure_7d": rng.integers(0, 300, N), "click_7d": rng.integers(0, 30, N),
        "ctr": seen.astype(np.float32),
        "ctcvr": pa.array((seen / 2).astype(np.float32)) if ordered else pa.nulls(N, pa.float32()),
        "semantic_weight": pa.array(rng.random(N).astype(np.float32)) if gate else pa.nulls(N, pa.float32())})


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    for seed in (1, 2):
        for ranker, noise, gate in (("base", 2.0 + seed / 10, False), ("gatesid", 0.5, True)):
            layout.predictions(ranker, seed).mkdir(parents=True)
            for ds in DAYS:
                pq.write_table(day_rows(ds, noise, gate), layout.predictions(ranker, seed) / f"{ds}.parquet")
    return layout


def columns(layout, ranker, seed):
    tables = [pq.read_table(layout.predictions(ranker, seed) / f"{ds}.parquet") for ds in DAYS]
    return {name: pa.concat_tables(tables).column(name).to_numpy() for name in ("user_id", "clicked", "ctr", "online_days")}


def test_a_cell_equals_its_recomputation_from_the_stored_predictions(layout):
    cell = evaluate(layout, ["base", "gatesid"], [1], DAYS)["slices"]["ctr"]["new_under_20_days"]
    for ranker in ("base", "gatesid"):
        rows = columns(layout, ranker, 1)
        young = rows["online_days"] < 20
        assert cell["rows"] == young.sum()
        assert cell["positives"] == rows["clicked"][young].sum()
        assert cell["rankers"][ranker]["auc"]["mean"] == pytest.approx(auc(rows["clicked"][young], rows["ctr"][young]))
        assert cell["rankers"][ranker]["gauc"]["mean"] == pytest.approx(
            gauc(rows["user_id"][young], rows["clicked"][young], rows["ctr"][young]))


def test_a_better_ranker_is_better_beyond_its_interval(layout):
    gap = evaluate(layout, ["base", "gatesid"], [1], DAYS)["slices"]["ctr"]["all"]["difference"]["gatesid"]
    for metric in ("auc", "gauc"):
        assert 0 < gap[metric]["low"] < gap[metric]["mean"] < gap[metric]["high"]


def test_a_ranker_compared_with_itself_differs_by_nothing():
    rng = np.random.default_rng(1)
    scores = rng.random(300)
    user_days = rng.integers(0, 30, 300)
    rows = Rows(rng.integers(0, 9, 300), user_days, user_days, rng.random(300) < 0.3, {"a": {1: scores}, "b": {1: scores}})
    gap = compare(rows, UserDayInterval.of(rows))["difference"]["b"]
    for metric in ("auc", "gauc", "log_loss", "calibration"):
        assert [gap[metric][key] for key in ("mean", "low", "high", "resolved")] == [0, 0, 0, False]


def test_the_interval_of_noise_contains_zero_and_narrows_with_rows():
    rng = np.random.default_rng(2)

    def gap(count):
        users = rng.integers(0, count // 10, count)
        scores = {name: {1: rng.random(count)} for name in ("a", "b")}
        rows = Rows(users, users, users, rng.random(count) < 0.3, scores)
        return compare(rows, UserDayInterval.of(rows))["difference"]["b"]["auc"]

    few, many = gap(400), gap(8000)
    assert few["low"] < 0 < few["high"]
    assert many["high"] - many["low"] < (few["high"] - few["low"]) / 2


def test_several_seeds_have_a_spread_and_one_has_none(layout):
    two = evaluate(layout, ["base", "gatesid"], [1, 2], DAYS)["slices"]["ctr"]["all"]
    single = [auc(rows["clicked"], rows["ctr"]) for rows in (columns(layout, "base", seed) for seed in (1, 2))]
    assert two["rankers"]["base"]["auc"] == {
        "mean": pytest.approx(np.mean(single)), "sd": pytest.approx(np.std(single, ddof=1)), "by_seed": pytest.approx(single)}
    one = evaluate(layout, ["base", "gatesid"], [1], DAYS)["slices"]["ctr"]["all"]
    assert one["rankers"]["base"]["auc"]["sd"] is None


def test_seeds_that_differ_much_leave_a_difference_unresolved():
    rng = np.random.default_rng(3)
    labels, users = rng.random(4000) < 0.3, rng.integers(0, 400, 4000)

    def resolved(strengths):
        scores = {"a": {n: rng.random(4000) for n in range(3)},
                  "b": {n: rng.random(4000) + strength * labels for n, strength in enumerate(strengths)}}
        rows = Rows(users, users, users, labels, scores)
        return compare(rows, UserDayInterval.of(rows))["difference"]["b"]["auc"]

    alike, apart = resolved((0.3, 0.3, 0.3)), resolved((0.9, 0.02, 0.0))
    assert alike["resolved"]
    assert apart["low"] > 0
    assert not apart["resolved"]


def test_a_slice_without_rows_or_with_one_label_is_null_and_prints_a_dash():
    scores = {"base": {1: np.ones(4)}, "gatesid": {1: np.ones(4)}}
    rows = Rows(np.arange(4), np.arange(4), np.arange(4), np.zeros(4, bool), scores)
    interval = UserDayInterval.of(rows)
    for part in (rows, rows.where(np.zeros(4, bool))):
        cell = compare(part, interval)
        assert cell["rankers"]["base"]["auc"]["mean"] is None
        assert cell["difference"]["gatesid"]["auc"] == {
            "mean": None, "sd": None, "by_seed": [None], "low": None, "high": None, "resolved": False}


def test_a_data_set_without_orders_has_one_task(tmp_path):
    layout = Layout(tmp_path)
    for ranker in ("base", "gatesid"):
        layout.predictions(ranker, 1).mkdir(parents=True)
        pq.write_table(day_rows(DAYS[0], 1.0, ordered=False), layout.predictions(ranker, 1) / f"{DAYS[0]}.parquet")
    result = evaluate(layout, ["base", "gatesid"], [1], DAYS)
    assert result["tasks"] == ["ctr"]
    assert list(result["slices"]) == ["ctr"]


def test_rankers_that_scored_other_rows_are_not_compared(layout):
    pq.write_table(day_rows(DAYS[0], 1.0).slice(1), layout.predictions("gatesid", 1) / f"{DAYS[0]}.parquet")
    with pytest.raises(DataError, match=r"base-s1 scored 800 impressions, gatesid-s1 799"):
        evaluate(layout, ["base", "gatesid"], [1], DAYS)


def test_predictions_that_are_absent_are_named(layout):
    with pytest.raises(ArtefactError, match="no predictions from 2026-02-01"):
        evaluate(layout, ["base"], [1], ["2026-02-01"])


def test_the_gate_is_averaged_by_age_and_by_exposure(layout):
    result = evaluate(layout, ["base", "gatesid"], [1], DAYS)["semantic_weight"]
    assert list(result) == ["gatesid"]
    assert sum(cell["rows"] for cell in result["gatesid"]["age"].values()) == 2 * N
    assert sum(cell["rows"] for cell in result["gatesid"]["exposure"].values()) == 2 * N


def test_age_buckets_cover_every_row_once_and_slices_keep_their_edges():
    days = np.array([-1, 0, 6, 7, 19, 20, 299, 300, 301, 5000])
    assert (np.sum(list(age_buckets(days).values()), axis=0) == 1).all()
    masks = evaluation_slices(days, np.array([0, 1, 9, 10, 99, 100, 199, 200, 0, 0]), np.zeros(10))
    assert masks["new_under_20_days"].tolist() == [True] * 5 + [False] * 5
    assert masks["popular_over_300_days"].tolist() == [False] * 8 + [True] * 2
    assert masks["exposure_7d_1_9"].tolist() == [False, True, True] + [False] * 7
    assert masks["exposure_7d_100_inf"].tolist() == [False] * 5 + [True] * 3 + [False] * 2
    assert masks["under_200_impressions_7d"].tolist() == [True] * 7 + [False] + [True] * 2


def test_the_command_writes_the_report_once_and_prints_its_table(layout, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(layout.home))
    asked = ["--as-of", "2026-01-03", "--days", "2", "--seeds", "1,2"]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (layout.report("evaluation-2026-01-03") / "table.txt").read_text().splitlines() == lines[:-1]
    file = layout.report("evaluation-2026-01-03") / "evaluation.json"
    assert lines[-1] == str(file)
    assert any(line.startswith("new_under_20_days") for line in lines)
    before = file.stat().st_mtime_ns
    assert main(asked) == 0
    assert file.stat().st_mtime_ns == before
    assert main([*asked[:-1], "1"]) == 5
    assert "holds another evaluation" in capsys.readouterr().err


def test_the_report_is_plain_json_without_nan(layout):
    file = publish(layout, "2026-01-03", evaluate(layout, ["base", "gatesid"], [1], DAYS))

    def refuse(text):
        raise AssertionError(f"{text} in the report")

    result = json.loads(file.read_text(), parse_constant=refuse)
    assert set(result["inputs"]["gatesid"]["1"]["predictions"]) == set(DAYS)
    assert [day["ds"] for day in result["per_day"] if day["task"] == "ctr"] == DAYS


def test_few_positives_are_marked(layout):
    lines = table_lines(evaluate(layout, ["base", "gatesid"], [1], DAYS))
    line = next(line for line in lines if line.startswith("new_under_20_days"))
    assert "*" in line
    line = next(line for line in lines if line.startswith("all "))
    assert "*" not in line
