"""Bursts wait, a standing queue does not."""

from contextlib import ExitStack

import pytest

from serving.admission import BURST_SECONDS, Admission


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def admission(clock):
    return Admission(workers=2, most=6, now=lambda: clock[0])


def held(admission, count):
    """`count` more requests in flight; closing lets them go."""
    stack = ExitStack()
    for _ in range(count):
        assert not admission.full()
        stack.enter_context(admission.place())
    return stack


def test_a_burst_may_wait_up_to_the_most(admission):
    with held(admission, 6):
        assert admission.full()
    assert not admission.full()
    assert admission.in_flight == 0


def test_a_queue_that_stands_is_cut_to_what_can_be_begun_next(admission, clock):
    with held(admission, 6) as burst:
        clock[0] += 2 * BURST_SECONDS
        burst.close()
    with held(admission, 2):
        clock[0] += 2 * BURST_SECONDS
        with held(admission, 1):
            assert admission.full()
        assert not admission.full()


def test_a_worker_that_was_free_allows_a_burst_again(admission, clock):
    with held(admission, 2):
        clock[0] += 2 * BURST_SECONDS
    with held(admission, 6):
        assert admission.full()


def test_the_most_holds_where_it_is_less_than_one_for_each_worker(clock):
    admission = Admission(workers=2, most=2, now=lambda: clock[0])
    with held(admission, 2):
        clock[0] += 2 * BURST_SECONDS
        assert admission.full()
