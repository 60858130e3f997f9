"""Two tasks over all impressions: CTR, and CTCVR = CTR x CVR."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf


def test_esmm_equals_the_golden_numbers_and_gradients(golden):
    from model.losses.esmm import esmm

    for case in golden("esmm", "esmm"):
        given = {name: case.tensor(name) for name in ("ctr_logits", "cvr_logits")}
        rest = {name: value for name, value in case.inputs.items() if name not in given}

        def compute(given=given, rest=rest):
            return esmm(**given, **rest)._asdict()

        for name, expected in case.case["expected"].items():
            case.agrees(compute()[name], expected)
        case.check_gradients(compute, given)


def test_an_order_without_its_click_is_refused_by_row():
    from model.losses.esmm import esmm

    with pytest.raises(ValueError, match="row 1 has an order without one"):
        esmm(np.zeros(2, "f"), np.zeros(2, "f"), [1, 0], [0, 1])
