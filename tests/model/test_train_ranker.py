"""Progressive training: predictions before learning, resume after a kill, nothing on the second run."""

import json
from datetime import date
from shutil import copytree, rmtree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from features.errors import ArtefactError, CodebookMismatch
from features.layout import Layout

pytestmark = pytest.mark.tf

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
PREDICTION_COLUMNS = ["event_id", "user_id", "item_id", "event_time", "clicked", "ordered", "online_days", "exposure_7d",
                      "click_7d", "ctr", "ctcvr", "semantic_weight"]


@pytest.fixture
def lake(tmp_path, write_lake):
    layout = Layout(tmp_path)
    write_lake(layout, DAYS)
    return layout


def job(layout, ranker="gatesid", start=DAYS[0], as_of="2026-01-05", **changes):
    from model.config import RankerConfig, TrainConfig
    from model.train_ranker import Job

    network = RankerConfig(ranker=ranker, hidden=(8,), user_width=4)
    codebook = "cb-1" if ranker == "gatesid" else None
    return Job(layout, network, TrainConfig(batch_size=16), changes.pop("seed", 1), date.fromisoformat(start),
               date.fromisoformat(as_of), codebook, **changes)


def weights(folder, file="weights.npz"):
    with np.load(folder / file) as stored:
        return {name: stored[name] for name in stored.files}


def equal(mine, theirs):
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_each_day_is_scored_by_a_model_that_has_not_seen_it(lake):
    from model.checkpoints import restore
    from model.dataset import PinnedTable, batches, read_codes, read_day
    from model.train_ranker import run

    run(job(lake, checkpoint_every=1), say=lambda line: None)
    three_days = restore(lake.checkpoint("gatesid", 1, DAYS[3]))
    tables = {name: PinnedTable.at(lake.table(name)) for name in ("training_frame", "semantic_ids", "item_index")}
    day = read_day(tables["training_frame"], DAYS[3])
    features, _ = next(batches(day, read_codes(tables["semantic_ids"], tables["item_index"], "cb-1"), len(day)))
    stored = pq.read_table(lake.predictions("gatesid", 1) / f"{DAYS[3]}.parquet")
    np.testing.assert_allclose(stored.column("ctr"), three_days.ranker.score(features)["ctr"], rtol=1e-5)


def test_predictions_have_the_contracts_columns_and_every_row_once(lake):
    from model.train_ranker import run

    run(job(lake, "base"), say=lambda line: None)
    assert sorted(path.name for path in lake.predictions("base", 1).iterdir()) == [f"{ds}.parquet" for ds in DAYS]
    table = pq.read_table(lake.predictions("base", 1) / f"{DAYS[1]}.parquet")
    assert sorted(table.column_names) == sorted(PREDICTION_COLUMNS)
    assert len(set(table.column("event_id").to_pylist())) == table.num_rows == 60
    assert table.column("semantic_weight").null_count == 60
    assert table.column("ctcvr").null_count == 0


def test_a_data_set_without_orders_has_no_ctcvr(lake):
    from dataclasses import replace

    from model.train_ranker import run

    asked = job(lake, "base")
    run(replace(asked, training=replace(asked.training, labels=("clicked",))), say=lambda line: None)
    table = pq.read_table(lake.predictions("base", 1) / f"{DAYS[0]}.parquet")
    assert table.column("ctcvr").null_count == table.num_rows


def test_the_second_run_does_nothing(lake):
    from model.train_ranker import run

    first = run(job(lake), say=lambda line: None)
    before = {path: path.stat().st_mtime_ns for path in lake.home.rglob("*")}
    said = []
    assert run(job(lake), say=said.append) == first
    assert {path: path.stat().st_mtime_ns for path in lake.home.rglob("*")} == before
    assert said == []


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_bits(lake):
    """days     1 -> 2 -> [checkpoint] -> 3 -> killed      then      [checkpoint] -> 3 -> 4"""
    from model.train_ranker import run

    def killed_on_day_three(line):
        if line.startswith(DAYS[2]):
            raise Killed

    unbroken = run(job(lake, checkpoint_every=2), say=lambda line: None)
    twin = Layout(lake.home.parent / f"{lake.home.name}-twin")
    (twin.home).mkdir()
    (twin.home / "lake").symlink_to(lake.home / "lake")
    with pytest.raises(Killed):
        run(job(twin, checkpoint_every=2), say=killed_on_day_three)
    assert not twin.checkpoint("gatesid", 1, "2026-01-05").exists()
    said = []
    resumed = run(job(twin, checkpoint_every=2), say=said.append)
    assert DAYS[2] in said[0], "goes on from the checkpoint of day 3's morning"
    assert equal(weights(resumed), weights(unbroken))
    for ds in DAYS:
        mine, theirs = (pq.read_table(home.predictions("gatesid", 1) / f"{ds}.parquet") for home in (twin, lake))
        assert mine.equals(theirs), ds


def test_day_by_day_gives_the_weights_of_one_run(lake, tmp_path):
    from model.train_ranker import run

    at_once = run(job(lake, as_of=DAYS[2]), say=lambda line: None)
    twin = Layout(tmp_path / "twin")
    twin.home.mkdir()
    (twin.home / "lake").symlink_to(lake.home / "lake")
    for day, next_day in zip(DAYS[:2], DAYS[1:3], strict=True):
        nightly = run(job(twin, start=day, as_of=next_day), say=lambda line: None)
    assert equal(weights(nightly), weights(at_once))


def test_a_grown_index_goes_on_with_the_old_rows(lake, write_lake):
    from model.train_ranker import run

    before = weights(run(job(lake, as_of=DAYS[2]), say=lambda line: None))
    write_lake(lake, DAYS, items=45, users=11)
    after = weights(run(job(lake, as_of=DAYS[3], start=DAYS[2]), say=lambda line: None))
    assert before["gatesid/items/table:0"].shape[0] == 32
    assert after["gatesid/items/table:0"].shape[0] == 47


def test_going_on_with_other_settings_is_refused(lake):
    from dataclasses import replace

    from model.train_ranker import run

    run(job(lake, as_of=DAYS[1]), say=lambda line: None)
    asked = job(lake)
    with pytest.raises(ArtefactError, match="other settings of training"):
        run(replace(asked, training=replace(asked.training, dense_rate=0.5)), say=lambda line: None)


@pytest.fixture
def renumbered(lake):
    """Codebook cb-2: the same SIDs as cb-1, their codes numbered otherwise; what code of each level became which."""
    table = DeltaTable(lake.table("semantic_ids")).to_pyarrow_table()
    names = np.stack([np.random.default_rng(level).permutation(256) for level in range(4)]).astype(np.int32)
    codes = names[np.arange(4), np.array(table.column("codes").to_pylist())]
    table = table.set_column(table.column_names.index("codes"), "codes", pa.array(list(codes), pa.list_(pa.int32())))
    table = table.set_column(table.column_names.index("codebook_version"), "codebook_version", pa.array(["cb-2"] * len(codes)))
    write_deltalake(lake.table("semantic_ids"), table, mode="append")
    return names


def test_a_run_goes_on_uncompiled_where_it_began_so(lake):
    """As every run before there was a choice: its steps round otherwise than compiled ones."""
    from dataclasses import replace

    from model.train_ranker import run

    def compiled(asked):
        return replace(asked, training=replace(asked.training, compiled=True))

    run(job(lake, as_of="2026-01-03"), say=lambda line: None)
    resumed = run(compiled(job(lake)), say=lambda line: None)
    assert run(compiled(job(lake)), say=lambda line: None) == resumed
    assert json.loads((resumed / "manifest.json").read_text())["training"]["compiled"] is False
    learnt = weights(resumed)
    rmtree(resumed.parent)
    assert equal(learnt, weights(run(job(lake), say=lambda line: None)))


def test_another_codebook_is_refused_unless_a_warm_start_is_asked_for(lake, renumbered):
    from dataclasses import replace

    from model.train_ranker import run

    run(job(lake, as_of=DAYS[2]), say=lambda line: None)
    with pytest.raises(CodebookMismatch, match="go on from it with --warm-start"):
        run(replace(job(lake), codebook="cb-2"), say=lambda line: None)


def test_a_warm_start_on_the_same_codes_under_other_numbers_changes_no_score(lake, renumbered, tmp_path):
    from dataclasses import replace

    from model.checkpoints import restore
    from model.train_ranker import run

    run(job(lake, as_of=DAYS[1]), say=lambda line: None)
    twin = Layout(tmp_path / "twin")
    copytree(lake.home, twin.home)
    run(job(lake, as_of=DAYS[2]), say=lambda line: None)
    said = []
    asked = replace(job(twin, as_of=DAYS[2]), codebook="cb-2", warm_start_days=0)
    changed = run(asked, say=said.append)
    old, new = (pq.read_table(home.predictions("gatesid", 1) / f"{DAYS[1]}.parquet") for home in (lake, twin))
    assert new.equals(old)
    assert said[1].startswith("warm start from codebook cb-1 | codes that start from old ones ")
    manifest = restore(changed, codebook="cb-2").manifest
    assert manifest["warm_started_from"]["codebook_version"] == "cb-1"
    assert manifest["warm_started_from"]["as_of"] == DAYS[1]
    # The next night goes on as usual, whether it asks for a warm start or not, and remembers.
    said.clear()
    later = run(replace(asked, as_of=date.fromisoformat(DAYS[3])), say=said.append)
    assert not [line for line in said if "warm start" in line]
    assert restore(later).manifest["warm_started_from"] == manifest["warm_started_from"]
    with pytest.raises(CodebookMismatch, match="trained on codebook cb-2, got cb-1"):
        run(replace(asked, codebook="cb-1"), say=lambda line: None)


def test_a_warm_start_killed_while_it_learns_days_again_ends_with_the_same_bits(lake, renumbered, tmp_path):
    from dataclasses import replace

    from model.train_ranker import run

    def killed(line):
        if line.startswith(f"{DAYS[1]} 001/001 | SID tables again"):
            raise Killed

    run(job(lake, as_of=DAYS[2]), say=lambda line: None)
    twin = Layout(tmp_path / "twin")
    copytree(lake.home, twin.home)
    said = []
    unbroken = run(replace(job(lake), codebook="cb-2", warm_start_days=1), say=said.append)
    assert [line.partition(" | ")[0] for line in said[2:]] == [
        f"{DAYS[1]} 001/001", f"{DAYS[2]} 001/002 (50.0%)", f"{DAYS[3]} 002/002 (100.0%)"]
    asked = replace(job(twin), codebook="cb-2", warm_start_days=1)
    with pytest.raises(Killed):
        run(asked, say=killed)
    assert equal(weights(run(asked, say=lambda line: None)), weights(unbroken))


def test_a_candidate_leaves_the_rankers_in_use_alone_and_is_gone_on_from_once_its_codebook_is_live(lake, renumbered):
    """cb-1, nightly   day 1 -> day 2 -> day 3          cb-2 has the same SIDs under other numbers
    cb-2, candidate          \\-> day 2 -> day 3, nightly"""
    from dataclasses import replace

    from model.candidate import judge
    from model.train_ranker import run

    def silent(line):
        pass

    for start, end in ((DAYS[0], DAYS[1]), (DAYS[1], DAYS[2])):
        run(job(lake, start=start, as_of=end), say=silent)
    before = {path: path.stat().st_mtime_ns for path in lake.home.rglob("*") if path.is_file()}
    beside = lake.candidate("cb-2")
    nightly = replace(job(lake, start=DAYS[1], as_of=DAYS[2]), codebook="cb-2", warm_start_days=0, origins=(lake, beside))
    made = run(replace(nightly, output=beside), say=silent)
    assert made == beside.checkpoint("gatesid", 1, DAYS[2])
    assert before.items() <= {path: path.stat().st_mtime_ns for path in lake.home.rglob("*") if path.is_file()}.items()
    found = judge(lake, "cb-2", "gatesid", 1)
    assert (found.days, found.rows, found.candidate) == ([DAYS[1]], 60, found.in_use)

    said = []
    run(replace(nightly, start=date.fromisoformat(DAYS[2]), as_of=date.fromisoformat(DAYS[3])), say=said.append)
    assert f"from {made}" in said[0]
    assert not [line for line in said if "warm start" in line]


def test_a_candidate_needs_a_ranker_in_use_and_another_codebook(lake, renumbered, monkeypatch, capsys):
    from model.train_ranker import main

    monkeypatch.setenv("GATESID_HOME", str(lake.home))
    asked = ["--ranker", "gatesid", "--as-of", DAYS[2], "--codebook", "cb-2", "--candidate"]
    assert main([*asked, "--warm-start"]) == 5
    assert "a candidate goes on from a checkpoint of gatesid s1 from 2026-01-02" in capsys.readouterr().err
    assert main(asked) == 3
    assert "give --codebook V and --warm-start" in capsys.readouterr().err
    assert not lake.candidate("cb-2").home.exists()


def test_days_without_rows_are_named_and_passed_over(lake):
    from model.train_ranker import run

    said = []
    run(job(lake, "base", start="2025-12-31"), say=said.append)
    assert "2025-12-31 001/005 | no rows" in said
    with pytest.raises(ArtefactError, match="no rows from 2024-01-01"):
        run(job(lake, "base", start="2024-01-01", as_of="2024-02-01"), say=lambda line: None)


@pytest.mark.parametrize("ranker", ["base", "gatesid"])
def test_a_day_of_one_label_is_learnt_from_and_has_no_auc(lake, ranker):
    from model.train_ranker import run

    rows = DeltaTable(lake.table("training_frame")).to_pyarrow_table(partitions=[("ds", "=", DAYS[1])])
    for name in ("clicked", "ordered"):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array([0] * len(rows), pa.int8()))
    write_deltalake(lake.table("training_frame"), rows, mode="overwrite", predicate=f"ds = '{DAYS[1]}'")
    said = []
    folder = run(job(lake, ranker), say=said.append)
    assert "| auc - | gauc new - all - |" in said[2]
    day = json.loads((folder / "progress.json").read_text())[1]
    assert (day["ds"], day["auc"], day["gauc_all"], day["gauc_new"]) == (DAYS[1], None, None, None)
    assert all(np.isfinite(values).all() for values in weights(folder).values())
    assert pq.read_table(lake.predictions(ranker, 1) / f"{DAYS[2]}.parquet").num_rows == 60


def test_the_command_prints_progress_and_ends_with_the_checkpoint(lake, monkeypatch, capsys):
    from model.train_ranker import main

    monkeypatch.setenv("GATESID_HOME", str(lake.home))
    asked = ["--ranker", "base", "--from", DAYS[0], "--as-of", DAYS[2], "--seed", "4"]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(lake.checkpoint("base", 4, DAYS[2]))
    assert lines[1].startswith(f"{DAYS[0]} 001/002 (50.0%) | rows 60 | loss ")
    progress = json.loads((lake.checkpoint("base", 4, DAYS[2]) / "progress.json").read_text())
    assert [day["ds"] for day in progress] == DAYS[:2]


def test_the_command_says_what_is_wrong_and_how_it_ended(lake, monkeypatch, capsys):
    from model.train_ranker import main

    monkeypatch.setenv("GATESID_HOME", str(lake.home))
    assert main(["--ranker", "gatesid", "--as-of", DAYS[2], "--codebook", "cb-9"]) == 5
    assert "run spark_jobs.sid_assignment --codebook cb-9" in capsys.readouterr().err
    assert main(["--ranker", "gatesid", "--as-of", DAYS[2]]) == 5
    assert "no codebook is live" in capsys.readouterr().err
    assert main(["--ranker", "base", "--as-of", "soon"]) == 3
    assert main(["--ranker", "base", "--from", DAYS[2], "--as-of", DAYS[2]]) == 3
