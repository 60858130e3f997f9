"""Health figures by hand, and the refusals."""

import numpy as np
import pytest

from features.encoder import Quantiser
from features.errors import DataError
from features.sid import Opq
from model.codebook_health import (
    HealthLimits,
    check_health,
    co_click_figures,
    co_click_line,
    codebook_health,
    hit_at,
    level_health,
    opq_health,
    pair_auc,
)


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


def test_collisions_and_buckets_by_hand():
    vectors = np.array([[0.0], [0.1], [1.0], [2.0]], np.float32)
    codebooks = np.array([[[0.0], [1.0], [2.0]], [[0.0], [9.0], [9.0]]], np.float32)
    health = codebook_health(vectors, plain_quantiser(codebooks), vectors, content_rows=np.array([0, 0, 1, 2, 3, 3]))
    assert health["distinct_sids"] == 3
    assert health["collision_rate_contents"] == 0.5  # the first two of four
    assert health["largest_bucket_contents"] == 2
    np.testing.assert_allclose(health["collision_rate_items"], 5 / 6)
    assert health["largest_bucket_items"] == 3
    assert health["reconstruction_error"] == 0
    assert health["explained_variance"] == 1


def test_explained_variance_by_hand():
    vectors = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
    health = codebook_health(vectors, plain_quantiser(np.zeros((1, 2, 2), np.float32)), vectors / 2, np.array([0, 1]))
    np.testing.assert_allclose([health["reconstruction_error"], health["explained_variance"]], [0.25, 0.75])


def test_hits_by_hand():
    angles = np.radians([0, 10, 30, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert hit_at(vectors, np.array([[0, 1]]), k=1) == 1
    assert hit_at(vectors, np.array([[1, 2]]), k=1) == 0.5  # 30 degrees is nearest to 10, but 10 is nearer to 0
    assert hit_at(vectors, np.array([[0, 3]]), k=2) == 0
    assert hit_at(vectors, np.array([[0, 3]]), k=3) == 1
    assert hit_at(vectors, np.array([[0, 3]]), k=30) == 1
    assert hit_at(vectors, np.empty((0, 2), int)) is None


def test_duplicates_count_as_candidates_and_the_item_itself_does_not():
    vectors = np.repeat(np.eye(2), [5, 1], axis=0)
    assert hit_at(vectors, np.array([[0, 5]]), k=1) == 0
    assert hit_at(vectors, np.array([[0, 5]]), k=5) == 1


def test_pair_auc_of_spaces_that_know_everything_nothing_and_the_opposite():
    pairs = np.arange(400).reshape(200, 2)
    rng = np.random.default_rng(0)
    together = np.repeat(rng.normal(size=(200, 16)), 2, axis=0)
    apart = together * np.where(np.arange(400) % 2, -1, 1)[:, None]
    assert pair_auc(together, pairs) > 0.99
    assert pair_auc(apart, pairs) < 0.01
    assert abs(pair_auc(rng.normal(size=(400, 16)), pairs) - 0.5) < 0.1
    assert pair_auc(np.ones((400, 2)), pairs) == 0.5
    assert pair_auc(together, pairs[:0]) is None
    assert co_click_line(co_click_figures(pairs[:0], text=together)) == "co-click: no pair was held out"
    assert "| pair_auc text 0.99" in co_click_line(co_click_figures(pairs, text=together))


HEALTHY = {"levels": [{"used": 250, "usable": 256, "coverage": 0.98, "perplexity": 220.0, "perplexity_share": 0.86}] * 4,
           "collision_rate_contents": 0.1, "explained_variance": 0.9}


def test_a_healthy_codebook_passes():
    check_health(HEALTHY)


@pytest.mark.parametrize(("broken", "message"), [
    ({"levels": [*HEALTHY["levels"][:3], HEALTHY["levels"][0] | {"used": 12, "coverage": 0.05}]},
     "level 4 uses 12 of 256 codes"),
    ({"levels": [HEALTHY["levels"][0] | {"perplexity": 3.0, "perplexity_share": 0.01}]}, "level 1 perplexity is 3.0 of 256"),
    ({"collision_rate_contents": 0.7}, "70.0% of different contents share a SID"),
    ({"explained_variance": 0.2}, "explain 20.0%"), ({"explained_variance": float("nan")}, "explain nan%")])
def test_a_collapsed_codebook_is_refused_and_the_figure_named(broken, message):
    with pytest.raises(DataError, match=message):
        check_health(HEALTHY | broken)


def test_every_figure_beyond_its_limit_is_named():
    with pytest.raises(DataError, match="level 1 uses 250.*level 1 perplexity.*share a SID.*explain"):
        check_health(HEALTHY, HealthLimits(0.99, 0.99, 0.01, 0.99))


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
