"""The report shows what is on disk, and says what is not."""

import json

from features.layout import Layout
from infra.report import __main__ as report
from infra.report import sections


def cell(positives=500, gap=0.01):
    figure = {"auc": {"mean": 0.75, "sd": None}, "gauc": {"mean": 0.7, "sd": None}}
    difference = {metric: {"mean": gap, "low": gap - 0.004, "high": gap + 0.004, "sd": None, "resolved": True}
                  for metric in ("auc", "gauc")}
    return {"rows": 4000, "positives": positives, "rankers": {"base": figure, "gatesid": figure},
            "difference": {"gatesid": difference}}


def write_evaluation(home):
    folder = Layout(home).report("evaluation-2026-01-05")
    folder.mkdir(parents=True)
    ages = {"online_days_0_6": cell(), "online_days_7_inf": cell(positives=3)}
    (folder / "evaluation.json").write_text(json.dumps({
        "rankers": ["base", "gatesid"], "seeds": [1], "days": ["2026-01-03", "2026-01-04"], "tasks": ["ctr"],
        "slices": {"ctr": {"all": cell(), "new_under_20_days": cell(positives=12, gap=0.0345)}}, "by_age": {"ctr": ages},
        "semantic_weight": {"gatesid": {"age": {name: {"rows": 1, "mean": 0.6} for name in ages}}}}))


def test_the_table_shows_differences_with_their_interval_and_greys_what_is_thin(tmp_path):
    write_evaluation(tmp_path)
    text = sections.evaluation(Layout(tmp_path), "2026-01-05", "")
    assert "+3.45 [+3.05, +3.85]" in text
    assert text.count("<tr class=thin>") == 1
    assert text.count("<svg") == 3


def test_what_was_not_run_yet_names_the_command_that_runs_it(tmp_path):
    assert "gatesid evaluate --as-of 2026-01-05" in sections.evaluation(Layout(tmp_path), "2026-01-05", "")
    assert "make demo" in sections.live(tmp_path)
    assert "gatesid up" in sections.stream(tmp_path)


def test_the_stream_section_reads_rates_from_the_progress_lines(tmp_path):
    log = tmp_path / "run" / "logs" / "stream-maturity.log"
    log.parent.mkdir(parents=True)
    told = ("starting", "maturity 10,000 ev | 1.0k/s | lag 5", "maturity 35,000 ev | 2.5k/s", "maturity 35,000 ev | 0.0k/s")
    log.write_text("\n".join(told))
    text = sections.stream(tmp_path)
    assert "35,000 records" in text
    assert "at most 2,500 a second" in text


def test_lineage_names_each_run_with_its_versions(tmp_path):
    run = tmp_path / "runs" / "item_stats" / "2026-01-05.json"
    run.parent.mkdir(parents=True)
    run.write_text(json.dumps({"reads": {"events": 7}, "writes": {"item_maturity_rebuilt": 3}, "seconds": 12.5}))
    assert all(part in sections.lineage(Layout(tmp_path)) for part in ("events@7", "item_maturity_rebuilt@3", "12.5"))


def test_the_page_is_written_whole_and_text_is_escaped(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    live = tmp_path / "demo" / "live.json"
    live.parent.mkdir(parents=True)
    step = {"moment": "born", "sid": [1, 2, 3, 4], "exposure_7d": 8, "click_7d": 2, "semantic_weight": 0.5, "score": 0.2,
            "place": 3, "of": 100}
    live.write_text(json.dumps({"item": {"title": "<b>milk</b>"}, "user_id": "7", "seconds_to_sid": 0.4, "steps": [step],
                                "rank_ms": {"p50": 9.0, "p99": 20.0, "calls": 200, "candidates": 100},
                                "note": "constructed impressions"}))
    assert report.main(["--as-of", "2026-01-05"]) == 0
    path = tmp_path / "reports" / "demo" / "index.html"
    assert capsys.readouterr().out.strip() == str(path)
    assert "&lt;b&gt;milk" in path.read_text()
    assert all(part in path.read_text() for part in ("1-2-3-4", "constructed impressions"))
