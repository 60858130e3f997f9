"""The page of a comparison shows its results.json: the same figures, grey where they say little, without what is not there."""

import json
import os
import re

import pytest

from features.errors import ArtefactError
from features.layout import Layout
from infra.report import __main__ as report
from infra.report.comparison import comparison_page, day_gap, newest, readable
from infra.report.differences import every_figure, heat_map, held_against

SLICES = ("all", "new_under_20_days")
AGES = ("online_days_0_6", "online_days_7_inf")
SECTIONS = ("Who wins where", "Gain by item age", "Gain day by day", "What the gate trusts", "Item embeddings, new against all",
            "Use of codes", "Ablations", "Learning rates", "What it was made from")


def figure(mean, sd=None):
    return {"mean": mean, "sd": sd, "by_seed": [mean]}


def gap(mean, resolved=True):
    return figure(mean, 0.002) | {"low": mean - 0.003, "high": mean + 0.003, "resolved": resolved}


def cell(gaps, positives=500, resolved=True):
    """gaps: {ranker: (whom it is held against, difference of AUC)}; GAUC differs by a tenth of a point more."""
    rankers = ("base", *gaps)
    return {"rows": 4000, "positives": positives, "users": 9,
            "rankers": {name: {"auc": figure(0.75), "gauc": figure(0.7), "log_loss": figure(0.41), "calibration": figure(1.02)}
                        for name in rankers},
            "difference": {name: {"to": to, "auc": gap(mean, resolved), "gauc": gap(mean + 0.001, resolved),
                                  "log_loss": gap(-mean / 10, resolved)} for name, (to, mean) in gaps.items()}}


def preset(gaps, gate=True):
    norm = {"all": {"items": 6_700, "mean": 0.1, "zero_share": 0.5},
            "new_under_20_days": {"items": 177, "mean": 0.18, "zero_share": 0.1}}
    day = {name: {"auc": [0.75], "gauc": [None]} for name in ("base", *gaps)}
    return {
        "tasks": ["ctr"], "interval": "95 %, users and days",
        "slices": {"ctr": {"all": cell(gaps), "new_under_20_days": cell(gaps, positives=12)}},
        "by_age": {"ctr": {name: cell(gaps) for name in AGES}},
        "semantic_weight": {"gatesid": {
            "age": {AGES[0]: {"rows": 5, "mean": 0.613}, AGES[1]: {"rows": 0, "mean": None}},
            "exposure": {"exposure_7d_0": {"rows": 5, "mean": 0.377}}}} if gate else {},
        "per_day": [{"ds": ds, "task": "ctr", "rows": 9, "positives": 3, **day} for ds in ("2026-01-03", "2026-01-04")],
        "embedding_norms": {name: {"1": norm if gate else None} for name in ("base", *gaps)}}


def health(**other):
    level = {"used": 200, "usable": 250, "coverage": 0.8, "dead_codes": 56, "perplexity": 133.4, "perplexity_share": 0.53}
    return {"levels": [level, level], "collision_rate_contents": 0.117, "explained_variance": 0.884} | other


def full():
    """Two presets, an ablation, tuned rates, SIDs of one seed."""
    gaps = {"gatesid": ("base", 0.0123), "smile": ("base", -0.0246), "gatesid_without_alignment": ("gatesid", -0.0057)}
    point = {"dense_rate": 0.001, "table_rate": 0.02, "log_loss": 0.41234, "auc": 0.7511,
             "seeds": [{"log_loss": 0.41}, {"log_loss": 0.41468}]}
    tuned = {"chosen": [0.002, 0.05], "points": [point, point | {"dense_rate": 0.002, "table_rate": 0.05, "log_loss": 0.40987},
                                                  point | {"dense_rate": 0.1, "log_loss": None, "auc": None,
                                                           "seeds": [{"log_loss": None}, {"log_loss": 0.5}]}]}
    return {
        "rankers": ["base", *gaps], "seeds": [1], "days": ["2026-01-03", "2026-01-04"], "trained_from": "2026-01-01",
        "plan": {"start": "2026-01-01", "as_of": "2026-01-05", "tune_days": 2, "tuning_seeds": [1, 2], "codebook": None,
                 "sids_as_of": "2026-01-03", "batch_size": 128, "versions": {"training_frame": 7}},
        "rates": {"practical": {"base": tuned, "gatesid": tuned}}, "ablations": {"gatesid_without_alignment": "gatesid"},
        "data": {"name": "shop", "rows": {"click": 12_345}}, "codebook": None,
        "sids": {"1": {"gatesid": {"health": health(collision_rate_items=0.809)},
                       "smile": {"health": health(opq=health(collision_rate_contents=0.042))}}},
        "code": {"commit": "abc", "sources": "def0"}, "notes": ["one seed: chance is in it"],
        "presets": {"practical": preset(gaps), "paper": preset(gaps)}}


def bare():
    """What --quick leaves out, and one ranker alone."""
    return full() | {"rankers": ["base"], "rates": {}, "ablations": {}, "sids": {}, "notes": [], "data": None,
                     "presets": {"practical": preset({}, gate=False)}}


def write(home, name, result, at=1_000):
    file = home / "runs" / "compare" / name / "results.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(result))
    os.utime(file, (at, at))


@pytest.fixture(scope="module")
def text():
    """The whole page, drawn once."""
    return comparison_page("mine", full())


def titles(text):
    return tuple(re.findall(r"<h2>(.*?)</h2>", text))


def cells_of(text, first):
    """Attributes and text of the cells of the first row that begins with `first`."""
    row = next(row for row in re.findall(r"<tr.*?</tr>", text) if f"<td>{first}</td>" in row)
    return re.findall(r"<td(.*?)>(.*?)</td>", row)[1:]


def test_every_part_of_a_comparison_has_its_section(text):
    assert titles(text) == SECTIONS
    # By preset: gains by age and by day of two metrics, the gate by age and exposure, two figures of norms.
    assert text.count("<svg") == 2 * 8
    assert "<li>one seed: chance is in it</li>" in text
    assert all(f"CTR, preset {name}: against base" in text for name in ("practical", "paper"))


def test_what_a_comparison_does_not_have_is_left_out():
    text = comparison_page("mine", bare())
    assert titles(text) == ("Who wins where", "What it was made from")
    assert "nobody to compare it with" in text
    assert "rates of the presets" in text


def test_ablations_are_held_against_the_model_they_leave_something_out_of(text):
    before, after = text.split("<h2>Ablations</h2>")
    assert "gatesid_without_alignment" not in before.split("<h2>Gain by item age")[0]
    assert "CTR, preset practical: against gatesid" in after
    assert "-0.57" in after
    assert held_against(full()["presets"]["paper"]["slices"]["ctr"], ["base", "smile", "gatesid_without_alignment"]) == {
        "base": ["smile"], "gatesid": ["gatesid_without_alignment"]}


def test_the_heat_map_colours_what_stands_and_greys_the_rest():
    gaps = {"gatesid": ("base", 0.0123), "smile": ("base", -0.0246)}
    slices = {"all": cell(gaps), "few": cell(gaps, positives=199), "unsure": cell(gaps, resolved=False),
              "empty": cell({name: ("base", 0.0) for name in gaps}, positives=0)}
    slices["empty"]["difference"]["smile"]["auc"] |= {"mean": None, "low": None, "high": None, "resolved": False}
    text = heat_map(slices, "base", ["gatesid", "smile"], "auc")
    better, worse = cells_of(text, "gatesid"), cells_of(text, "smile")
    assert [shown for _, shown in better[:3]] == ["+1.23", "+1.23", "~+1.23"]
    assert 'class="best"' in better[0][0]
    assert "background: rgb(11 122 117 / 0.37)" in better[0][0]  # half as much as the largest
    assert 'title="+1.23 [+0.93, +1.53] ± 0.20; 500 positives"' in better[0][0]
    assert "background: rgb(181 83 42 / 0.62)" in worse[0][0]
    assert "best" not in worse[0][0]
    for attributes, _ in (*better[1:], *worse[1:]):
        assert 'class="thin"' in attributes
        assert "background" not in attributes
    assert worse[3][1] == "–"
    assert [shown for _, shown in cells_of(text, "positives")] == ["500", "199*", "500", "0*"]
    assert [shown for _, shown in cells_of(text, "base itself")] == ["75.00"] * 4


def test_the_long_table_has_a_line_for_every_slice_and_ranker():
    gaps = {"gatesid": ("base", 0.0123)}
    text = every_figure({"all": cell(gaps), "few": cell(gaps, positives=3), "unsure": cell(gaps, resolved=False)}, "base",
                        ["gatesid"])
    rows = re.findall(r"<tr.*?</tr>", text)[1:]
    assert len(rows) == 6
    assert [row.startswith("<tr class=thin>") for row in rows] == [False, False, True, True, False, False]
    assert "<td>+1.23 [+0.93, +1.53] ± 0.20</td>" in rows[1]
    assert "<td>-0.0012 [-0.0042, +0.0018] ± 0.0020</td>" in rows[1]
    assert '<td class="thin">~+1.23 [+0.93, +1.53] ± 0.20</td>' in rows[5]
    assert [shown for _, shown in cells_of(text, "all")] == ["500", "base", "75.00", "", "70.00", "", "0.4100", "", "1.020"]


def test_gate_norms_codes_and_rates_are_those_of_the_file(text):
    gate, norms, codes, rates = (text.split(f"<h2>{title}</h2>")[1] for title in (*SECTIONS[3:6], SECTIONS[7]))
    assert [shown for _, shown in cells_of(gate, "gatesid")] == ["0.61", "–"]
    assert [shown for _, shown in cells_of(norms, "gatesid")] == [
        "6,700", "0.100", "50.0%", "0.200", "177", "0.180", "10.0%", "0.200"]
    assert [shown for _, shown in cells_of(codes, "seed 1, gatesid")] == [
        "133 133", "250 250", "80.0% 80.0%", "11.7%", "80.9%", "88.4%"]
    assert cells_of(codes, "seed 1, smile, OPQ")[3][1] == "4.2%"
    found = cells_of(rates, "base")
    assert [shown for _, shown in found] == ["0.4123", "0.4099", "no number"]
    assert ['class="best"' in attributes for attributes, _ in found] == [False, True, False]
    assert "AUC 75.11; log-loss by seed 0.4100, 0.4147" in found[0][0]
    assert cells_of(text, "its rows") == [("", "click 12,345")]


def test_one_codebook_of_all_seeds_is_shown_by_its_name():
    result = bare() | {"codebook": {"health": health()}}
    result["plan"]["codebook"] = "cb-7"
    assert cells_of(comparison_page("mine", result), "cb-7")[0][1] == "133 133"


def test_a_bar_of_few_positives_is_not_drawn_for_it_would_set_the_scale():
    assert readable({"positives": 199}, gap(0.01))["mean"] is None
    assert readable({"positives": 200}, gap(0.01)) == gap(0.01)


def test_a_days_gain_is_of_the_seeds_that_both_have():
    assert day_gap([0.8, 0.6], [0.5, 0.5, 0.1]) == pytest.approx(0.2)
    assert day_gap([None, 0.6], [0.5, 0.5]) == pytest.approx(0.1)
    assert day_gap([None], [0.5]) is None


def test_the_command_writes_a_page_of_its_own_with_names_escaped(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    write(tmp_path, "<i>&me", bare())
    assert report.main(["--comparison", "<i>&me"]) == 0
    path = tmp_path / "reports" / "compare-<i>&me" / "index.html"
    assert capsys.readouterr().out.strip() == str(path)
    text = path.read_text()
    assert "<h1>Comparison &lt;i&gt;&amp;me</h1>" in text
    assert "<i>" not in text
    assert "http" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["other", "../../elsewhere"])
def test_a_comparison_that_is_not_there_is_refused_with_those_that_are(tmp_path, monkeypatch, name):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    write(tmp_path, "mine", full())
    with pytest.raises(ArtefactError, match="there is mine"):
        report.main(["--comparison", name])


def test_a_file_of_another_version_is_refused_by_the_command_and_said_in_the_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    result = full()
    del result["ablations"]
    write(tmp_path, "old", result)
    with pytest.raises(ArtefactError, match="has no ablations: another version"):
        report.main(["--comparison", "old"])
    assert "has no ablations" in newest(Layout(tmp_path))


def test_the_demos_page_shows_the_newest_comparison_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    page = tmp_path / "reports" / "demo" / "index.html"
    assert report.main(["--as-of", "2026-01-05"]) == 0
    assert "Rankers compared" not in page.read_text()
    write(tmp_path, "b-older", full(), at=1_000)
    write(tmp_path, "a-newer", full(), at=2_000)
    assert report.main(["--as-of", "2026-01-05"]) == 0
    assert "<h2>Rankers compared</h2>" in page.read_text()
    assert "gatesid report --comparison a-newer" in page.read_text()
    assert "+1.23" in page.read_text()
