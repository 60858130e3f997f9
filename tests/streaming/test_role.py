"""When a role says that it has caught up."""

from types import SimpleNamespace

import pytest

from streaming.config import StreamConfig
from streaming.kafka_io import TopicPart
from streaming.report import Report
from streaming.role import look

PART = TopicPart("events", 0)


@pytest.fixture
def report(tmp_path):
    return Report(StreamConfig(tmp_path, "nowhere:1", "redis://nowhere:1"), "maturity")


def looks(report, ends, positions):
    """Whether the role is ready after each of its looks."""
    before, ready = {}, []
    for end, position in zip(ends, positions, strict=True):
        log = SimpleNamespace(end_offsets=lambda parts, end=end: {PART: end}, commit=lambda positions: None)
        before = look(log, SimpleNamespace(topics=["events"], positions={PART: position}), report, before)
        ready.append(report.is_ready)
    return ready


def test_a_role_with_nothing_to_read_is_ready_at_its_first_look(report):
    assert looks(report, [70], [70]) == [True]


def test_under_load_it_is_ready_when_it_has_taken_in_what_the_look_before_saw(report):
    assert looks(report, [100, 200, 300, 400], [10, 60, 250, 390]) == [False, False, True, True]
    assert report.progress.lag == {"p0": 10}
