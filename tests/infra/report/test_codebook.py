"""The section of the live codebook shows every figure that its health check saw."""

import json

from features.layout import Layout
from infra.report.codebook import codebook

LEVEL = {"used": 250, "usable": 256, "coverage": 0.977, "dead_codes": 6, "perplexity": 220.0, "gini": 0.31}
FIRST = {
    "levels": [LEVEL] * 4, "items": 5000, "contents": 1200, "distinct_sids": 1100, "collision_rate_contents": 0.083,
    "collision_rate_items": 0.87, "explained_variance": 0.881,
    "by_age": {"new_under_20_days": {"items": 40, "explained_variance": 0.7},
               "online_days_0_6": {"items": 12, "explained_variance": 0.6}},
    "co_click": {"hit_at_30": {"text": 0.01, "reconstruction": 0.02}, "hit_at_30_of_taken": {"reconstruction": 0.03}},
    "limits": {"min_coverage": 0.5}, "stability": None}
CHURN = {"by_level": [0.012, 0.034, 0.056, 0.078], "anywhere": 0.123}


def written(home, **changed):
    layout = Layout(home)
    folder = layout.codebook("cb-7")
    folder.mkdir(parents=True)
    layout.live_codebook_file.write_text('{"version": "cb-7"}')
    (folder / "health.json").write_text(json.dumps(FIRST | changed))
    return codebook(layout)


def test_it_says_which_command_publishes_one(tmp_path):
    assert "gatesid train rqvae" in codebook(Layout(tmp_path))


def test_a_first_codebook_has_use_age_hits_and_limits(tmp_path):
    text = written(tmp_path)
    assert all(part in text for part in ("cb-7", "8.3% of the different contents", "88.1%", "250 of 256", "0.31",
                                         "min coverage 0.5"))
    assert text.count("<svg") == 4
    assert "hit@30 among the contents that were taken" in text
    assert "churn" not in text


def test_a_retrained_one_is_shown_beside_the_one_before(tmp_path):
    moved = {"matched_to": "cb-6", "items": 4900, "as_trained": CHURN, "matched": CHURN, "neighbourhood_overlap": 0.812,
             "by_impressions": {"impressions": 10, "as_trained": CHURN, "matched": CHURN}}
    text = written(tmp_path, stability=moved)
    assert all(part in text for part in ("Against cb-6, over 4,900 items", "81.2%", "12.3%"))
    assert text.count("<td>impressions") == 2


def test_one_that_was_judged_by_less_is_shown_too(tmp_path):
    old = {name: value for name, value in FIRST.items() if name not in ("by_age", "limits", "stability", "co_click")}
    layout = Layout(tmp_path)
    layout.codebook("cb-7").mkdir(parents=True)
    layout.live_codebook_file.write_text('{"version": "cb-7"}')
    levels = [{name: value for name, value in LEVEL.items() if name != "gini"}]
    (layout.codebook("cb-7") / "health.json").write_text(json.dumps(old | {"levels": levels}))
    assert codebook(layout).count("<svg") == 1
