"""SMILE Eq. 3: level vectors to one."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_fusion_equals_the_golden_numbers(golden):
    from model.layers.rq_fusion import RqFusion

    for case in golden("smile_blend", "rq_fuse"):
        levels = case.tf.concat(case.tf.unstack(case.tensor("rq_embs")), axis=-1)
        layer = RqFusion(np.shape(case.value("kernel"))[1], dtype=case.dtype)
        layer(levels)
        case.fill(layer.kernel, case.value("kernel"))
        case.agrees(layer(levels), case.case["expected"]["value"])


def test_an_item_without_codes_fuses_to_zero_also_in_a_history():
    from model.layers.rq_fusion import RqFusion

    np.testing.assert_array_equal(RqFusion(3)(np.zeros([2, 5, 6], "f")), np.zeros([2, 5, 3]))
