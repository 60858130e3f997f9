"""Health figures by hand, and the refusals."""

from dataclasses import asdict, fields

import numpy as np
import pytest

from features.encoder import Quantiser
from features.errors import DataError
from features.sid import Opq
from infra.settings import load_settings
from model.codebook_health import HealthLimits, check_health, codebook_health, gini, level_health, opq_health


def plain_quantiser(codebooks):
    """Codes of the vectors themselves: Enc is relu(x) - relu(-x) = x."""
    eye = np.eye(codebooks.shape[2], dtype=np.float32)
    zeros = np.zeros(codebooks.shape[2], np.float32)
    return Quantiser({"input_mean": zeros, "input_scale": zeros + 1, "in_kernel": np.concatenate([eye, -eye], 1),
                      "in_bias": np.zeros(2 * len(eye), np.float32), "out_kernel": np.concatenate([eye, -eye]),
                      "out_bias": zeros}, codebooks)


def test_a_level_by_hand():
    level = level_health(np.array([0, 0, 1, 3]), np.array([[0.0], [0.5], [1.0], [3.0]]), size=8)
    assert level["used"] == 3
    assert level["usable"] == 4
    assert level["coverage"] == 0.75
    assert level["dead_codes"] == 5
    np.testing.assert_allclose(level["perplexity"], 2 ** 1.5)  # shares 1/2 1/4 1/4: 1.5 bit
    np.testing.assert_allclose(level["perplexity_share"], 2 ** 1.5 / 4)
    assert level["gini"] == 0.375  # of 0 1 1 2


def test_gini_of_equal_and_of_one_for_all():
    assert gini(np.array([3, 3, 3])) == 0
    np.testing.assert_allclose(gini(np.array([0, 0, 0, 8])), 0.75)


def test_collisions_and_buckets_by_hand():
    vectors = np.array([[0.0], [0.1], [1.0], [2.0]], np.float32)
    codebooks = np.array([[[0.0], [1.0], [2.0]], [[0.0], [9.0], [9.0]]], np.float32)
    health = codebook_health(vectors, plain_quantiser(codebooks), vectors, content_rows=np.array([0, 0, 1, 2, 3, 3]),
                             online_days=np.zeros(6))
    assert health["distinct_sids"] == 3
    assert health["collision_rate_contents"] == 0.5  # the first two of four
    assert health["largest_bucket_contents"] == 2
    np.testing.assert_allclose(health["collision_rate_items"], 5 / 6)
    assert health["largest_bucket_items"] == 3
    assert health["reconstruction_error"] == 0
    assert health["explained_variance"] == 1


def test_explained_variance_by_hand():
    vectors = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
    health = codebook_health(vectors, plain_quantiser(np.zeros((1, 2, 2), np.float32)), vectors / 2, np.array([0, 1]),
                             np.array([5, 400]))
    np.testing.assert_allclose([health["reconstruction_error"], health["explained_variance"]], [0.25, 0.75])


def test_the_error_by_age_by_hand():
    vectors = np.array([[-1.0], [1.0]], np.float32)
    reconstruction = np.array([[-1.0], [0.5]], np.float32)  # errors 0 and .25, variance 1
    health = codebook_health(vectors, plain_quantiser(np.zeros((1, 2, 1), np.float32)), reconstruction,
                             content_rows=np.array([0, 1, 1, 0]), online_days=np.array([3, 19, 20, 301]))
    assert health["by_age"] == {
        "new_under_20_days": {"items": 2, "reconstruction_error": 0.125, "explained_variance": 0.875},
        "popular_over_300_days": {"items": 1, "reconstruction_error": 0.0, "explained_variance": 1.0},
        "online_days_0_6": {"items": 1, "reconstruction_error": 0.0, "explained_variance": 1.0},
        "online_days_14_19": {"items": 1, "reconstruction_error": 0.25, "explained_variance": 0.75},
        "online_days_20_49": {"items": 1, "reconstruction_error": 0.25, "explained_variance": 0.75},
        "online_days_300_inf": {"items": 1, "reconstruction_error": 0.0, "explained_variance": 1.0}}


HEALTHY = {"levels": [{"used": 250, "usable": 256, "coverage": 0.98, "perplexity": 220.0, "perplexity_share": 0.86}] * 4,
           "collision_rate_contents": 0.1, "explained_variance": 0.9,
           "limits": {"min_coverage": 0.5, "min_level_1_perplexity": 0.3, "max_collision_rate_contents": 0.5,
                      "min_explained_variance": 0.5, "min_explained_variance_new": 0.4, "min_neighbourhood_overlap": 0.2}}


def test_each_limit_is_a_setting_that_one_run_can_override():
    settings = load_settings({"GATESID_CODEBOOK_HEALTH__MIN_COVERAGE": "0.25"}).codebook_health
    assert HealthLimits(**asdict(settings)).min_coverage == 0.25
    assert {one.name for one in fields(settings)} == {one.name for one in fields(HealthLimits)}


def test_a_healthy_codebook_passes():
    check_health(HEALTHY)


@pytest.mark.parametrize(("broken", "message"), [
    ({"levels": [*HEALTHY["levels"][:3], HEALTHY["levels"][0] | {"used": 12, "coverage": 0.05}]},
     "level 4 uses 12 of 256 codes"),
    ({"levels": [HEALTHY["levels"][0] | {"perplexity": 3.0, "perplexity_share": 0.01}]}, "level 1 perplexity is 3.0 of 256"),
    ({"collision_rate_contents": 0.7}, "70.0% of different contents share a SID"),
    ({"by_age": {"new_under_20_days": {"items": 1200, "explained_variance": 0.1}}},
     "explain 10.0% of the vectors of 1,200 items online for less than 20 days"),
    ({"stability": {"matched_to": "cb-1", "neighbourhood_overlap": 0.04}}, "4.0% of a content's neighbours .* in cb-1"),
    ({"explained_variance": 0.2}, "explain 20.0%"), ({"explained_variance": float("nan")}, "explain nan%")])
def test_a_collapsed_codebook_is_refused_and_the_figure_named(broken, message):
    with pytest.raises(DataError, match=message):
        check_health(HEALTHY | broken)


def test_every_figure_beyond_its_limit_is_named():
    with pytest.raises(DataError, match="level 1 uses 250.*level 1 perplexity.*share a SID.*explain"):
        check_health(HEALTHY | {"limits": {"min_coverage": 0.99, "min_level_1_perplexity": 0.99,
                                           "max_collision_rate_contents": 0.01, "min_explained_variance": 0.99}})


def test_a_codebook_is_held_to_the_limits_that_it_was_judged_by():
    check_health(HEALTHY | {"collision_rate_contents": 0.7, "limits": {"max_collision_rate_contents": 0.8}})
    check_health(HEALTHY | {"stability": {"matched_to": "cb-1", "neighbourhood_overlap": None}})


def test_opq_figures_by_hand():
    vectors = np.array([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 0.1]], np.float32)
    rq = np.array([[[0.0, 0.0], [4.0, 0.0]]], np.float32)
    opq = Opq(np.eye(2, dtype=np.float32), np.array([[[0.0], [9.0]], [[0.0], [1.0]]], np.float32), after=1)
    eye = plain_quantiser(rq)
    health = opq_health(vectors, Quantiser(eye.weights, rq, opq), vectors)
    assert [part["used"] for part in health["levels"]] == [1, 2]
    assert [part["usable"] for part in health["levels"]] == [1, 2]  # nothing is left over of the first half
    assert health["collision_rate_contents"] == 0.5  # the third and the fourth
    assert health["explained_variance"] == 1


def test_a_dead_opq_part_is_named():
    dead = HEALTHY["levels"][0] | {"used": 9, "coverage": 0.03}
    with pytest.raises(DataError, match="OPQ part 2 uses 9 of 256 codes"):
        check_health(HEALTHY | {"opq": {"levels": [HEALTHY["levels"][0], dead]}})
