"""The circuit breaker, on a clock that the test moves."""

import threading

import pytest

from serving.breaker import CircuitBreaker
from serving.fault import ServingFault


class Other:
    """The other side: answers, or fails with what is set."""

    def __init__(self):
        self.calls, self.fault = 0, None

    def __call__(self):
        self.calls += 1
        if self.fault:
            raise self.fault
        return "answer"


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def breaker(now):
    return CircuitBreaker(lambda fault: isinstance(fault, OSError), faults_in_a_row=3, hold_seconds=1.0, now=lambda: now[0])


@pytest.fixture
def other():
    return Other()


def fail(breaker, other, times):
    other.fault = OSError("silent")
    for _ in range(times):
        with pytest.raises(OSError, match="silent"):
            breaker.call(other)


def test_faults_in_a_row_open_it_and_the_other_side_is_left_alone(breaker, other):
    fail(breaker, other, 3)
    with pytest.raises(ServingFault, match="left alone after 3 faults in a row, the last: silent"):
        breaker.call(other)
    assert other.calls == 3


def test_an_answer_in_between_starts_the_count_again(breaker, other):
    fail(breaker, other, 2)
    other.fault = None
    assert breaker.call(other) == "answer"
    fail(breaker, other, 2)
    assert not breaker.is_open


def test_fault_of_one_request_is_an_answer_of_the_other_side(breaker, other):
    fail(breaker, other, 2)
    other.fault = KeyError("this request")
    with pytest.raises(KeyError):
        breaker.call(other)
    fail(breaker, other, 2)
    assert not breaker.is_open


def test_after_the_hold_one_call_tries_and_its_answer_closes_it(breaker, other, now):
    fail(breaker, other, 3)
    now[0], other.fault = 1.0, None
    assert breaker.call(other) == "answer"
    assert breaker.call(other) == "answer"


def test_trial_that_fails_opens_it_again_for_the_whole_hold(breaker, other, now):
    fail(breaker, other, 3)
    now[0] = 1.0
    fail(breaker, other, 1)
    now[0] = 1.9
    with pytest.raises(ServingFault):
        breaker.call(other)
    now[0], other.fault = 2.0, None
    assert breaker.call(other) == "answer"


def test_only_one_of_many_threads_tries(breaker, other, now):
    fail(breaker, other, 3)
    now[0] = 1.0
    trying, others_refused, refused = threading.Event(), threading.Event(), []

    def trial():
        trying.set()
        assert others_refused.wait(10)
        return "answer"

    first = threading.Thread(target=breaker.call, args=(trial,))
    first.start()
    assert trying.wait(10)
    for _ in range(5):
        with pytest.raises(ServingFault):
            breaker.call(lambda: refused.append("called"))
    others_refused.set()
    first.join()
    assert refused == []
    assert not breaker.is_open
