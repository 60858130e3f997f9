"""SMILE Eq. 9."""

import pytest

pytestmark = pytest.mark.tf


def test_total_equals_the_golden_numbers(golden):
    from model.losses.smile import smile_total

    for case in golden("smile_blend", "smile_total"):
        case.agrees(smile_total(**case.inputs), case.case["expected"]["value"])
