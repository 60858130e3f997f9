"""GateSID Eq. 8-10: in-batch contrast, weighted by the gate."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_gated_infonce_equals_the_golden_numbers_and_gradients(golden):
    from model.losses.contrastive import gated_infonce

    for case in golden("gated_infonce", "gated_infonce"):
        given = {name: case.tensor(name) for name in ("sid_emb", "item_emb", "semantic_weight")}
        options = {"temperature": case.inputs["temperature"]} if "temperature" in case.inputs else {}
        item_ids = case.tf.constant(case.value("item_ids"))

        def compute(given=given, item_ids=item_ids, options=options):
            return gated_infonce(**given, item_ids=item_ids, **options)._asdict()

        for name, expected in case.case["expected"].items():
            case.agrees(compute()[name], expected)
        case.check_gradients(compute, given)


def test_total_loss_equals_the_golden_numbers(golden):
    from model.losses.contrastive import total_loss

    for case in golden("gated_infonce", "gatesid_total"):
        case.agrees(total_loss(**case.inputs), case.case["expected"]["value"])



def test_unequal_widths_are_refused_by_name():
    from model.losses.contrastive import gated_infonce

    with pytest.raises(ValueError, match=r"`item_emb` must have 4 columns, got shape \(2, 3\): project"):
        gated_infonce(np.zeros([2, 4], "f"), np.zeros([2, 3], "f"), np.ones([2, 1], "f"), np.arange(2))
