"""`python -m model.registry`: what there is, how good, how far apart, and its refusals."""

import datetime
import json

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.layout import Layout
from features.live_codebook import live_codebook
from model.registry import main

NIGHT = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


def assign(layout, version, sids, at=NIGHT):
    write_deltalake(layout.table("semantic_ids"), pa.table({
        "item_id": list(sids), "codes": pa.array(list(sids.values()), pa.list_(pa.int32())),
        "assigned_at": pa.array([at] * len(sids), pa.timestamp("us", "UTC")), "codebook_version": [version] * len(sids)}),
        partition_by=["codebook_version"], mode="append")


@pytest.fixture
def layout(tmp_path, monkeypatch, write_codebook):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    layout = Layout(tmp_path)
    for version in ("cb-1", "cb-2"):
        write_codebook(layout, version)
    assign(layout, "cb-1", {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8], "c": [0, 0, 0, 0], "d": [9, 9, 9, 9]})
    assign(layout, "cb-2", {"e": [1, 1, 1, 1], "c": [0, 0, 0, 1], "a": [1, 2, 3, 4], "b": [5, 0, 7, 0]})
    return layout


def printed(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_list_shows_origin_sids_the_live_one_its_users_and_what_was_retired(layout, capsys, write_codebook):
    write_codebook(layout, "cb-0")
    assert printed(capsys, "retire", "cb-0").splitlines()[-1] == "cb-0"
    assert printed(capsys, "publish", "cb-1").splitlines()[-1] == "cb-1"
    for place in ("models/gatesid/2026112201", "serving/ranker/2026112201"):
        (layout.home / place).mkdir(parents=True)
        (layout.home / place / "manifest.json").write_text('{"codebook_version": "cb-1"}')
    (layout.codebook("cb-2") / "codebooks.npy").unlink()
    _, first, second, third = printed(capsys, "list").splitlines()
    assert first.split()[:9] == ["cb-1", "live", "enc-1,", "rqvae,", "as", "of", "2026-11-22", "4", "it"]
    assert "served model serving/ranker/2026112201; exported model models/gatesid/2026112201" in first
    assert second.startswith("cb-2")
    assert "codebooks.npy is missing or altered" in second
    assert third.split() == ["cb-0", "retired"]
    whole, broken = json.loads(printed(capsys, "list", "--json"))
    assert (whole["version"], whole["live"], whole["sids"]) == ("cb-1", True, 4)
    assert "fault" in broken


def test_list_of_an_empty_home_is_a_heading(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path / "new"))
    assert len(printed(capsys, "list").splitlines()) == 1


def test_show_prints_the_health_of_one(layout, capsys):
    shown = printed(capsys, "show", "cb-2")
    assert shown.splitlines()[0] == "cb-2: rqvae of enc-1, as of 2026-11-22, 4 SIDs"
    assert "level 4: 250 of 256 codes used, coverage 98.0%, perplexity 220 (86%)" in shown
    assert "collisions: items 20.0%, contents 10.0%; largest bucket 5 items, 3 contents" in shown
    assert "hit_at_30 encoder: 0.0200" in shown
    assert json.loads(printed(capsys, "show", "cb-2", "--json"))["health"]["explained_variance"] == 0.9


def test_diff_by_hand(layout, capsys):
    diff = json.loads(printed(capsys, "diff", "cb-1", "cb-2", "--json"))
    assert diff == {"old": "cb-1", "new": "cb-2", "items": 3, "only_old": 1, "only_new": 1,
                    "changed": {"by_level": [0, 1 / 3, 0, 2 / 3], "anywhere": 2 / 3}, "changed_by_impressions": None}
    assert "level 2: 33.3% of the items have another code" in printed(capsys, "diff", "cb-1", "cb-2")


def test_of_an_item_that_was_published_twice_the_first_sid_counts(layout, capsys):
    assign(layout, "cb-2", {"a": [7, 7, 7, 7]}, at=NIGHT + datetime.timedelta(days=1))
    assert json.loads(printed(capsys, "diff", "cb-1", "cb-2", "--json"))["changed"]["by_level"][0] == 0


def test_diff_by_impressions_of_a_week(layout, capsys):
    write_deltalake(layout.table("item_maturity_rebuilt"), pa.table({
        "item_id": ["a", "b", "c"], "exposure_7d": [70, 30, 0], "ds": ["2026-11-21"] * 3,
        "tick": pa.array([datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)] * 3, pa.timestamp("us", "UTC"))}))
    diff = json.loads(printed(capsys, "diff", "cb-1", "cb-2", "--as-of", "2026-11-22", "--json"))
    assert diff["changed_by_impressions"] == {"by_level": [0, 0.3, 0, 0.3], "anywhere": 0.3}
    assert "level 2: 30.0% of the impressions have" in printed(capsys, "diff", "cb-1", "cb-2", "--as-of", "2026-11-22")


def test_publish_refuses_where_another_one_became_live(layout, capsys):
    printed(capsys, "publish", "cb-1", "--instead-of", "none")
    assert main(["publish", "cb-2", "--instead-of", "none"]) == 5
    assert "cb-1 became live meanwhile" in capsys.readouterr().err
    assert live_codebook(layout) == "cb-1"
    printed(capsys, "publish", "cb-2", "--instead-of", "cb-1")
    assert live_codebook(layout) == "cb-2"


@pytest.mark.parametrize(("arguments", "message"), [
    (["show", "cb-9"], "absent or half-written"), (["show", "../encoders"], "expected a codebook version"),
    (["diff", "cb-1", "cb-9"], "run spark_jobs.sid_assignment --codebook cb-9"), (["retire", "cb-9"], "no codebook cb-9")])
def test_what_is_not_there_is_refused(layout, capsys, arguments, message):
    assert main(arguments) == 5
    assert message in capsys.readouterr().err
