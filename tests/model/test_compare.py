"""gatesid compare: its own folder, pinned versions, going on after a kill, a table that can be made again from the files."""

import html
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ArtefactError
from features.layout import Layout
from infra.report import __main__ as report
from infra.settings import load_settings
from model import compare
from model.codebook_health import HealthLimits
from model.comparison import pool, progress
from model.comparison.cells import Train
from model.comparison.plan import Plan, Run, alone
from model.comparison.pool import run_cells
from model.comparison.progress import Progress
from model.comparison.table import markdown_lines, text_lines
from model.metrics import auc, gauc

pytestmark = pytest.mark.tf

DAYS = [f"2026-01-{n:02d}" for n in range(1, 7)]
ASKED = ["--codebook", "cb-1", "--seeds", "2", "--no-tuning", "--report-days", "3"]
CELLS = ["base-s1", "base-s2", "gatesid-s1", "gatesid-s2"]


def in_this_process(run, cells, processes, say):
    """Instead of in processes of their own, which would have to import TensorFlow first."""
    (run.folder / "logs").mkdir(exist_ok=True)
    for cell in cells:
        if not cell.finished(run):
            assert all(needed.finished(run) for needed in cell.needs(run))
            pool.work(run, cell)


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setenv("GATESID_TRAINING__BATCH_SIZE", "32")
    monkeypatch.setattr(compare, "run_cells", in_this_process)


@pytest.fixture
def asked(monkeypatch):
    """asked(home, …) → results.json of that call."""
    def run(home, *arguments, say=lambda line: None):
        monkeypatch.setenv("GATESID_HOME", str(home.home))
        return compare.compare(load_settings(), compare.parse([*ASKED, *arguments]), say=say)
    return run


@pytest.fixture
def home(tmp_path, write_lake):
    """A lake of its own."""
    layout = Layout(tmp_path)
    write_lake(layout, DAYS, rows=80)
    return layout


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_lake):
    """A lake whose comparison of two rankers and two seeds is finished; tests leave that run alone."""
    layout = Layout(tmp_path_factory.mktemp("finished"))
    write_lake(layout, DAYS, rows=80)
    before = sorted(layout.home.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATESID_TRAINING__BATCH_SIZE", "32")
        patch.setenv("GATESID_HOME", str(layout.home))
        patch.setattr(compare, "run_cells", in_this_process)
        compare.compare(load_settings(), compare.parse(ASKED), say=lambda line: None)
    assert [path for path in sorted(layout.home.rglob("*")) if "runs" not in path.parts] == before
    return layout


@pytest.fixture
def folder(finished):
    return finished.home / "runs" / "compare" / "2026-01-07"


@pytest.fixture
def result(folder):
    return json.loads((folder / "results.json").read_text())


def rows_of(folder, cell, days):
    return pa.concat_tables([pq.read_table(folder / "practical" / "predictions" / cell / f"{ds}.parquet") for ds in days])


def test_everything_lies_in_the_runs_own_folder(folder):
    own = folder / "practical"
    assert sorted(path.name for path in (own / "predictions").iterdir()) == CELLS
    # Of each cell the last checkpoint is kept, and a log.
    assert sorted(path.relative_to(own / "checkpoints").as_posix() for path in (own / "checkpoints").glob("*/*")) == [
        f"{cell}/2026-01-07" for cell in CELLS]
    assert sorted(path.stem for path in (folder / "logs").iterdir()) == [f"practical-{cell}" for cell in CELLS]


def test_the_second_run_computes_nothing_and_writes_the_same(finished, folder, result, asked, monkeypatch):
    monkeypatch.setattr(pool, "work", None)
    assert asked(finished) == folder / "results.json"
    assert json.loads((folder / "results.json").read_text()) == result


def test_a_cell_of_the_table_can_be_computed_again_from_the_stored_predictions(folder, result):
    assert result["days"] == DAYS[3:]
    cell = result["presets"]["practical"]["slices"]["ctr"]["new_under_20_days"]
    for ranker in ("base", "gatesid"):
        for n, seed in enumerate((1, 2)):
            rows = rows_of(folder, f"{ranker}-s{seed}", DAYS[3:])
            young = rows["online_days"].to_numpy() < 20
            users, labels, scores = (rows[name].to_numpy()[young] for name in ("user_id", "clicked", "ctr"))
            figures = cell["rankers"][ranker]
            assert cell["positives"] == labels.sum()
            assert figures["auc"]["by_seed"][n] == pytest.approx(auc(labels, scores))
            assert figures["gauc"]["by_seed"][n] == pytest.approx(gauc(users, labels, scores))
            assert figures["calibration"]["by_seed"][n] == pytest.approx(scores.mean() / labels.mean(), rel=1e-5)
            p = scores.astype(np.float64)
            assert figures["log_loss"]["by_seed"][n] == pytest.approx(-np.mean(np.where(labels, np.log(p), np.log(1 - p))))
    both = np.subtract(*(cell["rankers"][ranker]["auc"]["by_seed"] for ranker in ("gatesid", "base")))
    assert cell["difference"]["gatesid"]["auc"]["mean"] == pytest.approx(both.mean())
    assert cell["difference"]["gatesid"]["auc"]["sd"] == pytest.approx(both.std(ddof=1))


def test_results_say_what_they_were_made_from(result):
    assert result["plan"]["versions"] == {
        "training_frame": len(DAYS) - 1, "item_index": 0, "user_index": 0, "semantic_ids": 0}
    assert result["plan"]["codebook"] == "cb-1"
    block = result["presets"]["practical"]
    assert block["config"]["gatesid"]["ranker"] == "gatesid"
    assert result["seeds"] == [1, 2]
    made = block["cells"]["gatesid"]["2"]
    assert set(made["predictions"]) == set(DAYS[3:])
    assert made["checkpoint"]["code"] == result["code"]["sources"]
    assert [day["ds"] for day in block["per_day"] if day["task"] == "ctr"] == DAYS[3:]


def test_a_killed_cell_goes_on_to_the_same_predictions(finished, folder, asked, monkeypatch):
    """cells   base-s1 done -> gatesid-s1 killed on its fourth day   then   gatesid-s1 from the checkpoint of two days"""
    import model.comparison.work
    import model.train_ranker

    monkeypatch.setattr(model.comparison.work, "CHECKPOINT_EVERY", 2)
    whole, scored = model.train_ranker.write_day, []

    def killed(folder, day, scores, labels):
        if folder.name == "gatesid-s1" and day.ds == DAYS[3]:
            raise KeyboardInterrupt
        whole(folder, day, scores, labels)

    def noted(folder, day, scores, labels):
        scored.append((folder.name, day.ds))
        whole(folder, day, scores, labels)

    monkeypatch.setattr(model.train_ranker, "write_day", killed)
    with pytest.raises(KeyboardInterrupt):
        asked(finished, "--seeds", "1", "--name", "broken")
    monkeypatch.setattr(model.train_ranker, "write_day", noted)
    resumed = asked(finished, "--seeds", "1", "--name", "broken").parent
    assert scored == [("gatesid-s1", ds) for ds in DAYS[2:]]
    for cell in ("base-s1", "gatesid-s1"):
        assert rows_of(resumed, cell, DAYS).equals(rows_of(folder, cell, DAYS))


def test_more_seeds_are_added_at_the_versions_the_run_was_begun_with(home, asked, write_lake):
    one = json.loads(asked(home, "--rankers", "base", "--seeds", "1").read_text())
    write_lake(home, DAYS, rows=90, seed=5)
    said = []
    two = json.loads(asked(home, "--rankers", "base", "--seeds", "2", say=said.append).read_text())
    assert two["plan"] == one["plan"]
    before, after = (found["presets"]["practical"] for found in (one, two))
    assert after["slices"]["ctr"]["all"]["rows"] == before["slices"]["ctr"]["all"]["rows"] == 240
    assert after["cells"]["base"]["1"] == before["cells"]["base"]["1"]
    assert after["slices"]["ctr"]["all"]["rankers"]["base"]["auc"]["sd"] is not None
    assert any("this run stays with those it was begun with" in line for line in said)


def test_other_settings_need_another_name(finished, asked):
    with pytest.raises(ArtefactError, match=r"begun with other settings \(start: there '2026-01-01', asked '2026-01-02'\)"):
        asked(finished, "--from", DAYS[1])


def test_two_runs_do_not_share_a_folder(finished, folder, asked):
    with alone(folder), pytest.raises(ArtefactError, match="another `gatesid compare` works"):
        asked(finished)


def test_quick_is_one_seed_of_the_last_days_in_a_folder_of_its_own(home, monkeypatch):
    monkeypatch.setattr(compare, "QUICK_DAYS", 4)
    monkeypatch.setenv("GATESID_HOME", str(home.home))
    file = compare.compare(load_settings(), compare.parse(["--quick", "--rankers", "base"]), say=lambda line: None)
    result = json.loads(file.read_text())
    assert file.parent.name == "2026-01-07-quick"
    assert (result["trained_from"], result["days"], result["seeds"]) == (DAYS[2], DAYS[5:], [1])
    assert any("one seed" in note for note in result["notes"])


def test_the_tables_show_every_slice_ranker_and_its_positives(result):
    text, markdown = text_lines(result, grey=False), markdown_lines(result)
    slices = result["presets"]["practical"]["slices"]["ctr"]
    everything = slices["all"]
    shown = next(line for line in text if line.startswith("all "))
    assert f"{everything['positives']:,}" in shown
    assert f"{100 * everything['rankers']['base']['auc']['mean']:.2f} ±" in shown
    lines = 2 * 2 * len(slices)  # tasks x rankers x slices
    assert sum(line.startswith("|") for line in markdown) == lines + 2 * 2
    assert len({line.count("|") for line in markdown if line.startswith("|")}) == 1
    # Nothing is resolved by a few hundred rows with random scores: the mark stands, and the terminal's line is grey.
    gap = slices["exposure_7d_0"]["difference"]["gatesid"]
    assert not gap["auc"]["resolved"]
    unsure = [line for line in text if " gatesid " in line and "~" in line]
    assert unsure
    assert any(line.startswith("\033[2m") for line in text_lines(result, grey=True))


def test_the_report_draws_a_comparison_as_it_was_written(finished, folder, result, monkeypatch):
    monkeypatch.setenv("GATESID_HOME", str(finished.home))
    assert report.main(["--comparison", folder.name]) == 0
    page = (finished.home / "reports" / f"compare-{folder.name}" / "index.html").read_text()
    for task, slices in result["presets"]["practical"]["slices"].items():
        assert f"{task.upper()}, preset practical: against base" in page
        for gap in (cell["difference"]["gatesid"]["auc"] for cell in slices.values()):
            if gap["low"] is not None:
                assert f"{100 * gap['mean']:+.2f} [{100 * gap['low']:+.2f}, {100 * gap['high']:+.2f}]" in page
    assert result["code"]["sources"] in page
    assert all(f"<li>{note}</li>" in page for note in map(html.escape, result["notes"]))


def begun(home, **other):
    """A run of three days in a folder of its own."""
    versions = {"training_frame": 5, "item_index": 0, "user_index": 0, "semantic_ids": 0}
    plan = Plan(**{"start": DAYS[0], "as_of": "2026-01-04", "tune_days": 0, "rates": (), "tuning_seeds": (),
                   "codebook": "cb-1", "sids_as_of": None,
                   "batch_size": 32, "labels": ("clicked", "ordered"), "versions": versions} | other)
    (home.home / "run").mkdir()
    return Run(plan, home, home.home / "run", HealthLimits())


def test_cells_run_in_processes_of_their_own_and_say_how_far_they_are(home):
    run, said = begun(home), []
    cells = [Train("practical", "base", 1), Train("practical", "gatesid", 1)]
    run_cells(run, cells, 2, said.append)
    assert said[-1].startswith("cells 2/2 | steps 6/6 (100.0%) | - | eta 0.0m")
    assert all(cell.finished(run) for cell in cells)
    assert len(rows_of(run.folder, "gatesid-s1", DAYS[:3])) == 240


def test_a_fault_of_a_cell_is_raised_with_its_own_words(home):
    with pytest.raises(ArtefactError, match="no semantic ids of codebook cb-9"):
        run_cells(begun(home, codebook="cb-9"), [Train("practical", "gatesid", 1)], 1, print)


def test_progress_weighs_rankers_by_the_time_their_days_take(tmp_path, monkeypatch):
    """Base: 4 days in 60 s. GateSID: 2 of its 6 days in 60 s, beside it. A second seed of each is left."""
    run = begun(Layout(tmp_path), as_of="2026-01-07")
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    cells = [Train("practical", ranker, seed) for seed in (1, 2) for ranker in ("base", "gatesid")]

    def scored(cell, days):
        folder = run.of("practical").predictions(cell.ranker, cell.seed)
        folder.mkdir(parents=True, exist_ok=True)
        for ds in days:
            (folder / f"{ds}.parquet").touch()

    found = Progress(run, cells, 2)
    scored(cells[0], DAYS[:1])  # by an earlier, killed run
    for cell in cells[:2]:
        found.begin(cell)
    assert found.line().endswith("eta -")
    scored(cells[0], DAYS[:5])
    scored(cells[1], DAYS[:2])
    now[0] = 160.0
    # Base is left with 1 + 6 days of 15 s, GateSID with 4 + 6 of 30 s; two at a time.
    assert found.line() == ("cells 0/4 | steps 7/24 (29.2%) | practical-base-s1 5/6, practical-gatesid-s1 2/6 | "
                            f"eta {(7 * 15 + 10 * 30) / 2 / 60:.1f}m")


def test_a_fit_says_nothing_about_how_long_a_rankers_days_take():
    pace = {("sids", "gatesid"): 200.0, ("practical", "base"): 1.0, ("practical", "smile"): 3.0}
    assert [progress.expected(pace, kind) for kind in (("practical", "gatesid"), ("sids", "smile"), ("paper", "base"))] == [
        2.0, 200.0, 2.0]


def test_the_command_says_what_is_wrong_and_how_it_ended(finished, folder, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(finished.home))
    assert compare.main(ASKED) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(folder / "results.json")
    for arguments, said in (
        (["--rankers", "base,nobody"], "different ones of base"), (["--rankers", "base,base"], "one twice"),
        (["--presets", "practical,mine"], "--presets expects different ones of paper, practical"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--report-days", "99"], "from 1 to the 6 days compared and not tuned on"),
        (["--from", "2027-01-01", "--as-of", "2027-01-03"], "expected at least two days of it"),
    ):
        assert compare.main([*ASKED, *arguments]) == 3
        assert said in capsys.readouterr().err
    assert compare.main(["--quick"]) == 5
    assert "no codebook is live" in capsys.readouterr().err
