"""What a member of a group does where its client loses its way."""

import threading
import time

import pytest

from streaming import group_consumer
from streaming.group_consumer import GroupConsumer

pytestmark = pytest.mark.kafka


def test_a_member_that_polls_too_shortly_to_see_its_join_answered_joins_all_the_same(stream):
    held = []
    consumer = GroupConsumer(stream.config.bootstrap, stream.config.group, [stream.config.events_topic], max_records=10,
                             on_assigned=lambda parts: held.extend(parts) or dict.fromkeys(parts), on_revoked=list)
    for _ in range(15):
        consumer.poll(1)
        time.sleep(0.2)  # the answer comes meanwhile
        if held:
            break
    consumer.close()
    assert len(held) == 4


def test_a_leader_that_joins_again_because_the_topics_changed_comes_back(stream, wait_until):
    """The others' answer comes between two of its polls, when the client no longer knows that it asked.

        leader  ── poll: asks to join ─────────────── assigns, is answered ──── polls: takes what it was given
        other   ───────────────────── polls: joins ──┘
    """
    held = {"leader": set(), "other": set()}

    def member(name):
        return GroupConsumer(
            stream.config.bootstrap, stream.config.group, [stream.config.events_topic], max_records=10,
            on_assigned=lambda parts: held[name].update(parts) or dict.fromkeys(parts), on_revoked=held[name].difference_update)

    leader = member("leader")
    assert wait_until(lambda: leader.poll(100) or len(held["leader"]) == 4)
    other, over = member("other"), threading.Event()
    thread = threading.Thread(target=lambda: [other.poll(100) for _ in iter(over.is_set, True)])
    thread.start()
    coordinator = leader.consumer._coordinator
    shared = wait_until(lambda: leader.poll(50) or (list(map(len, held.values())) == [2, 2] and not coordinator.need_rejoin()))
    generation = other.consumer._coordinator._generation.generation_id
    coordinator._assignment_snapshot = {}  # as if partitions had come since
    leader.joining_ms = 0
    asked = wait_until(lambda: leader.poll(1) or coordinator.rejoining, 15)
    answered = wait_until(lambda: other.consumer._coordinator._generation.generation_id > generation)
    back = wait_until(lambda: leader.poll(1) or (coordinator.stable() and not coordinator.rejoining), 15)
    over.set()
    thread.join()
    leader.close()
    other.close()
    assert (shared, asked, answered, back) == (True, True, True, True)


def test_a_client_that_never_gets_into_the_group_is_replaced(stream, monkeypatch, wait_until):
    monkeypatch.setattr(group_consumer, "STUCK_AFTER_S", 0.5)
    held, gone = [], []
    consumer = GroupConsumer(stream.config.bootstrap, stream.config.group, [stream.config.events_topic], max_records=10,
                             on_assigned=lambda parts: held.extend(parts) or dict.fromkeys(parts), on_revoked=gone.extend)
    stuck = consumer.consumer
    monkeypatch.setattr(stuck._coordinator, "ensure_active_group", lambda timeout_ms=None: time.sleep(0.05))
    assert wait_until(lambda: consumer.poll(100) or len(held) == 4)
    consumer.close()
    assert consumer.consumer is not stuck
    assert stuck._closed
    assert gone == []
