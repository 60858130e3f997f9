"""A whole comparison on a small lake: rates from the first days, SIDs of each seed, presets, fewer seeds of ablations."""

import json

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.errors import ConfigError, DataError
from features.layout import Layout
from infra.settings import load_settings
from model import compare
from model.codebook_health import HealthLimits
from model.comparison import cells, tuning
from model.comparison.cells import Fit, Retune, Train, Tune, in_order
from model.comparison.models import Models, quantiser_of, rankers_named, tuned_as, whole_of
from model.comparison.plan import Plan, Run
from model.comparison.pool import work
from model.config import ALL_RANKERS

pytestmark = pytest.mark.tf

DAYS = [f"2026-01-{n:02d}" for n in range(1, 10)]
FOODS = ("oats", "milk", "green tea", "coffee beans", "apple juice", "rye bread", "goat cheese", "dark chocolate")
TITLES = [f"{food} {size} {taste}" for food in FOODS for size in ("small", "large", "family pack")
          for taste in ("plain", "organic", "spiced")]
ABLATION = "gatesid_without_alignment"
RATES = ((1e-3, 0.02), (1e-2, 0.2))
TUNING_SEEDS = (1, 2)
ASKED = ["--rankers", f"base,gatesid,{ABLATION}", "--seeds", "2", "--ablation-seeds", "1", "--tune-days", "4"]


def write_catalogue(layout):
    """72 items, the last of them published on the last day, and pairs of likes, some of them of days that are reported."""
    count = len(TITLES)
    days = [pa.scalar(f"{ds}T00:00:00Z").cast(pa.timestamp("us", "UTC")) for ds in ("2025-12-01", DAYS[-1])]
    known = [days[0]] * (count - 1) + [days[1]]
    write_deltalake(layout.table("items"), pa.table({
        "item_id": [f"i{n}" for n in range(count)], "title": TITLES,
        "attributes": [json.dumps({"food": FOODS[n // 9]}) for n in range(count)], "published_at": known,
        "vector": pa.nulls(count, pa.list_(pa.float32())), "ingest_time": known, "offset": list(range(count))}))
    pairs = [(f"i{n}", f"i{n + 1}", DAYS[1] if n < 60 else DAYS[6]) for n in range(count - 1) if n % 9 < 8]
    both = pairs + [(b, a, ds) for a, b, ds in pairs]
    write_deltalake(layout.table("co_click_pairs"), pa.table({
        "item_a": [a for a, _, _ in both], "item_b": [b for _, b, _ in both], "count": [3] * len(both),
        "ds": [ds for _, _, ds in both]}))


def one_by_one(run, asked, processes, say):
    (run.folder / "logs").mkdir(exist_ok=True)
    for cell in asked:
        if not cell.finished(run):
            assert all(needed.finished(run) for needed in cell.needs(run)), cell
            work(run, cell)


@pytest.fixture(scope="module")
def patched():
    from model.comparison import seed_sids
    from model.encoder_training import EncoderTraining
    from model.rqvae_config import RqVaeConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATESID_TRAINING__BATCH_SIZE", "128")  # more than a day has: nothing is compiled
        patch.setattr(compare, "run_cells", one_by_one)
        patch.setattr(compare, "RATES", RATES)
        patch.setattr(compare, "TUNING_SEEDS", TUNING_SEEDS)
        for module in (tuning, cells):
            patch.setattr(module, "FINALISTS", 1)
        patch.setattr(seed_sids, "ENCODER", EncoderTraining(steps=3))
        patch.setitem(seed_sids.PRESETS, "gatesid", RqVaeConfig(epochs=1))
        yield patch


def run_compare(patch, layout, *arguments):
    patch.setenv("GATESID_HOME", str(layout.home))
    return compare.compare(load_settings(), compare.parse([*ASKED, *arguments]), say=lambda line: None)


@pytest.fixture(scope="module")
def layout(tmp_path_factory, write_lake):
    layout = Layout(tmp_path_factory.mktemp("home"))
    write_lake(layout, DAYS, rows=80, items=len(TITLES))
    without_positives(layout, DAYS[6])
    write_catalogue(layout)
    return layout


def without_positives(layout, ds):
    table = DeltaTable(layout.table("training_frame")).to_pyarrow_table(filters=[("ds", "=", ds)])
    for name in ("clicked", "ordered"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(np.zeros(len(table), np.int8)))
    write_deltalake(layout.table("training_frame"), table, mode="overwrite", predicate=f"ds = '{ds}'")


@pytest.fixture(scope="module")
def folder(patched, layout):
    before = sorted(path for path in layout.home.rglob("*"))
    folder = run_compare(patched, layout).parent
    assert [path for path in sorted(layout.home.rglob("*")) if "runs" not in path.relative_to(layout.home).parts] == before
    return folder


@pytest.fixture(scope="module")
def result(folder):
    return json.loads((folder / "results.json").read_text())


def test_reported_days_are_those_after_the_tuning_days(result):
    assert result["days"] == DAYS[4:]
    assert result["plan"]["sids_as_of"] == DAYS[4]


def test_every_model_gets_the_point_with_the_lowest_log_loss_of_the_judged_days(folder, result):
    rates = json.loads((folder / "rates.json").read_text())
    assert rates == result["rates"]
    assert set(rates["practical"]) == {"base", "gatesid"}
    for ranker in ("base", "gatesid", ABLATION):
        found = rates["practical"][tuned_as(ranker)]
        assert [(point["dense_rate"], point["table_rate"]) for point in found["points"]] == list(RATES)
        assert [point["finalist"] for point in found["points"]].count(True) == 1
        best = min(found["points"], key=lambda point: point["seeds"][0]["log_loss"])
        assert best["finalist"]
        assert found["chosen"] == [best["dense_rate"], best["table_rate"]]
        for point in found["points"]:
            assert [seed["seed"] for seed in point["seeds"]] == list(TUNING_SEEDS if point["finalist"] else TUNING_SEEDS[:1])
            assert point["log_loss"] == np.mean([seed["log_loss"] for seed in point["seeds"]])
            assert len({seed["log_loss"] for seed in point["seeds"]}) == len(point["seeds"])
            assert all(seed["days"] == [DAYS[1], DAYS[3]] and seed["rows"] == 240 for seed in point["seeds"])
        for cell in result["presets"]["practical"]["cells"][ranker].values():
            training = cell["checkpoint"]["training"]
            assert [training["dense_rate"], training["table_rate"]] == found["chosen"]
    assert not list(folder.glob("tuning/*/*/"))


def test_each_seed_has_sids_of_its_own_that_know_no_reported_day(folder, result):
    codes = {}
    for seed in ("1", "2"):
        fitted = result["sids"][seed]
        assert set(fitted) == {"gatesid"}
        assert fitted["gatesid"]["codebook"] == f"cb-{DAYS[4]}"
        assert fitted["gatesid"]["config"]["seed"] == int(seed)
        # Pairs of days from the first reported one on, and the item born on the last day, were not seen.
        seen = fitted["gatesid"]["rows"]
        assert seen["pairs_trained_on"] + seen["pairs_held_out"] == sum(n % 9 < 8 for n in range(60))
        assert seen["items"] == len(TITLES) - 1
        assert fitted["gatesid"]["items"] == len(TITLES)  # but it has a SID, for its content is known at birth
        assert fitted["gatesid"]["health"]["levels"][0]["perplexity"] > 1
        table = DeltaTable(folder / "sids" / f"s{seed}" / "lake" / "semantic_ids").to_pyarrow_table().sort_by("item_id")
        assert set(table["codebook_version"].to_pylist()) == {f"cb-{DAYS[4]}"}
        codes[seed] = table["codes"].to_pylist()
    assert codes["1"] != codes["2"]
    assert not result["codebook"]


def test_smiles_codebook_is_fitted_beside_the_other_one_from_the_same_encoder(patched, layout, tmp_path):
    run = a_run(tmp_path, home=layout)
    for cell in [*Fit(3, "smile").needs(run), Fit(3, "smile")]:
        assert not cell.finished(run)
        cell.work(run)
        assert cell.finished(run)
    rvq, opq = (json.loads(run.fitted(3, kind).read_text()) for kind in ("gatesid", "smile"))
    assert (rvq["encoder"], opq["codebook"]) == (opq["encoder"], f"cb-{DAYS[4]}-smile")
    assert "opq" in opq["health"]
    sids = DeltaTable(run.sids(3).table("semantic_ids")).to_pyarrow_table()
    assert sorted(sids["codebook_version"].to_pylist()) == [rvq["codebook"]] * 72 + [opq["codebook"]] * 72
    vectors = DeltaTable(run.sids(3).table("item_vectors")).to_pyarrow_table()
    assert len(vectors) == 72
    assert set(vectors["encoder_version"].to_pylist()) == {rvq["encoder"]}


def test_ablations_have_fewer_seeds_and_are_held_against_their_whole(result):
    block = result["presets"]["practical"]
    assert sorted(block["cells"][ABLATION]) == ["1"]
    assert sorted(block["cells"]["gatesid"]) == ["1", "2"]
    cell = block["slices"]["ctr"]["all"]
    assert {name: gap["to"] for name, gap in cell["difference"].items()} == {
        "gatesid": "base", ABLATION: "gatesid"}
    gap, figures = cell["difference"][ABLATION]["auc"], cell["rankers"]
    assert gap["by_seed"] == pytest.approx([figures[ABLATION]["auc"]["by_seed"][0] - figures["gatesid"]["auc"]["by_seed"][0]])
    assert len(cell["difference"]["gatesid"]["auc"]["by_seed"]) == 2
    assert result["ablations"] == {ABLATION: "gatesid"}


def test_what_a_day_without_positives_or_an_empty_slice_cannot_say_is_null(result):
    block = result["presets"]["practical"]
    day = next(day for day in block["per_day"] if day["ds"] == DAYS[6] and day["task"] == "ctr")
    assert (day["rows"], day["positives"]) == (80, 0)
    assert day["base"] == {"auc": [None, None], "gauc": [None, None]}
    empty = block["slices"]["ctr"]["pv_bucket_20000_inf"]
    assert (empty["rows"], empty["positives"]) == (0, 0)
    assert all(figure["mean"] is None for figure in empty["rankers"]["gatesid"].values())
    assert empty["difference"]["gatesid"]["auc"] == {
        "mean": None, "sd": None, "by_seed": [None, None], "low": None, "high": None, "resolved": False}
    assert block["slices"]["ctr"]["all"]["rows"] == 80 * 5


def test_norms_of_item_vectors_tell_new_from_all(folder, result, layout):
    norms = result["presets"]["practical"]["embedding_norms"]["gatesid"]["1"]
    with np.load(folder / "practical" / "checkpoints" / "gatesid-s1" / "2026-01-10" / "weights.npz") as weights:
        lengths = np.linalg.norm(weights["gatesid/items/table:0"][2:], axis=1)  # row 2 is i0
    assert norms["all"] == {"items": 72, "mean": pytest.approx(lengths.mean()), "zero_share": (lengths == 0).mean()}
    assert norms["new_under_20_days"]["items"] == 1
    assert norms["new_under_20_days"]["mean"] == pytest.approx(lengths[71])


def test_another_preset_is_added_with_rates_of_its_own(patched, layout, folder, result):
    both = json.loads(run_compare(patched, layout, "--rankers", "base", "--presets", "practical,paper").read_text())
    assert set(both["presets"]) == {"practical", "paper"}
    assert both["presets"]["practical"]["cells"]["base"] == result["presets"]["practical"]["cells"]["base"]
    training = both["presets"]["paper"]["cells"]["base"]["1"]["checkpoint"]["training"]
    assert training["batch_size"] == 4096
    assert [training["dense_rate"], training["table_rate"]] == both["rates"]["paper"]["base"]["chosen"]
    assert "preset paper, against base" in (folder / "table.md").read_text()


def test_a_codebook_that_its_health_refuses_ends_the_run_with_the_figure(patched, layout, monkeypatch):
    def collapsed(vectors, pairs, config):
        from model.rqvae import RqVae
        return RqVae(config, vectors)  # its codebooks are zero: every item gets code 0

    monkeypatch.setattr("model.train_rqvae.train_rqvae", collapsed)
    with pytest.raises(DataError, match=r"seed 1, codebook gatesid as of .*level 1 uses 1 of 7. codes.*--codebook V"):
        run_compare(patched, layout, "--rankers", "gatesid", "--name", "collapsed")
    assert not list((layout.home / "runs" / "compare" / "collapsed" / "sids").glob("*/*.json"))


@pytest.mark.parametrize(("arguments", "said"), [
    (["--tune-days", "9"], "leave days to report of the 9 compared, got 9"),
    (["--tune-days", "1"], "--tune-days must be at least 2"),
    (["--report-days", "6"], "from 1 to the 5 days compared and not tuned on, got 6"),
    (["--sids-as-of", DAYS[5]], f"must not be after the first reported day, {DAYS[4]}"),
    (["--from", "2025-12-20", "--tune-days", "5"], "no rows from 2025-12-21 to 2025-12-24, on which rates would be judged"),
    (["--ablation-seeds", "0"], "--ablation-seeds must be at least 1"),
    (["--rankers", "gatesid,nobody", "--presets", "mine"], "nobody unknown.*--presets expects .*mine unknown"),
])
def test_days_and_names_that_do_not_fit_are_refused(patched, layout, arguments, said):
    with pytest.raises(ConfigError, match=said):
        run_compare(patched, layout, *arguments)


def a_run(tmp_path, home=None, **other):
    return Run(Plan(**{"start": DAYS[0], "as_of": "2026-01-10", "tune_days": 4, "rates": RATES,
                       "tuning_seeds": TUNING_SEEDS, "codebook": None,
                       "sids_as_of": DAYS[4], "batch_size": 32, "labels": ("clicked",), "versions": {}} | other),
               home or Layout(tmp_path), tmp_path / "run", HealthLimits())


def test_main_models_come_first_seed_by_seed_and_everything_after_what_it_needs(patched, tmp_path):
    models = Models(("base", "gatesid", ABLATION, "smile"), ("practical",), seeds=2, ablation_seeds=1)
    run = a_run(tmp_path)
    ordered = in_order(run, models)
    assert len(set(ordered)) == len(ordered)
    for place, cell in enumerate(ordered):
        assert all(needed in ordered[:place] for needed in cell.needs(run))
    assert [cell for cell in ordered if isinstance(cell, Train)] == [
        Train("practical", ranker, seed) for seed in (1, 2) for ranker in ("base", "gatesid", "smile")] + [
        Train("practical", ABLATION, 1)]
    assert sum(isinstance(cell, Tune) for cell in ordered) == 3 * len(RATES)
    assert sum(isinstance(cell, Retune) for cell in ordered) == 3 * (len(TUNING_SEEDS) - 1)


def test_points_that_diverged_lose_and_if_all_did_the_model_has_no_rates(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "FINALISTS", 2)
    run = a_run(tmp_path)
    found = [{"dense_rate": dense, "table_rate": table, "log_loss": None, "auc": None} for dense, table in RATES]

    def write(points):
        for n, point in enumerate(points):
            for seed, other in zip(TUNING_SEEDS, point, strict=True):
                file = run.tuning("practical", "base", n, seed)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(found[n] | {"log_loss": other}))

    write([(0.7, 0.7), (0.1, None)])
    assert tuning.chosen(run, "practical", "base") == RATES[0]
    write([(0.7, 0.7), (0.6, 0.9)])
    assert tuning.finalists(run, "practical", "base") == [1, 0]
    assert tuning.chosen(run, "practical", "base") == RATES[0]
    write([(None, 0.7), (0.1, None)])
    with pytest.raises(DataError, match="no finite score at any of the rates"):
        tuning.chosen(run, "practical", "base")


def test_a_point_that_diverges_is_noted_as_such(patched, layout, tmp_path, monkeypatch):
    import model.comparison.work
    from model.learner import Diverged

    def diverging(job, say):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(model.comparison.work, "train_days", diverging)
    run = a_run(tmp_path, codebook="cb-1")
    run.tuning("practical", "base", 1, 2).parent.mkdir(parents=True)
    cells.Tune("practical", "base", 1, 2).work(run)
    assert json.loads(run.tuning("practical", "base", 1, 2).read_text()) == {
        "seed": 2, "dense_rate": RATES[1][0], "table_rate": RATES[1][1], "log_loss": None, "auc": None}


def test_all_names_every_ranker_and_each_ablation_knows_its_whole():
    named = rankers_named("all")
    assert sorted(named) == sorted(ALL_RANKERS)
    assert named[0] == "base"
    assert whole_of("saviorrec_without_mba") == "saviorrec"
    assert whole_of("sid_only") is None
    assert [quantiser_of(ranker) for ranker in ("base", "gatesid", "frozen_content", "smile_without_opq")] == [
        None, "gatesid", "gatesid", "smile"]
