"""User histories: commands may repeat and come in any order; the newest 500 stay, by (time, event_id)."""

import random
import uuid

import numpy as np
import pytest

from streaming.decode import KINDS, Events
from streaming.take_sets import ClusterSets, ServerSets
from streaming.user_history import UserHistories
from streaming.valkey_store import connect

T0 = 1_767_225_600_000


@pytest.fixture(params=[ServerSets, ClusterSets])
def histories(request, valkey):
    client = connect(f"redis://{valkey}")
    made = UserHistories(client, uuid.uuid4().hex, kept=5)
    made.sets = request.param(client)
    return made


def batch(*takes):
    """(event_id, kind, user, item, seconds) …"""
    n = len(takes)
    ids, kinds, users, items, seconds = zip(*takes, strict=True)
    return Events(np.arange(n), list(ids), np.array([KINDS[kind] for kind in kinds], np.int8), list(users), list(items),
                  T0 + 1000 * np.array(seconds), np.zeros(n, np.int64), [None] * n, [None] * n)


def test_takes_are_clicks_and_orders_oldest_first(histories):
    users = histories.apply(batch(("b", "order", "u", "i2", 5), ("a", "click", "u", "i1", 1), ("c", "impression", "u", "i3", 2),
                                  ("d", "impression", "v", "i3", 2)))
    assert users == ["u"]
    version, items, times = histories.read(["u", "v"], T0)
    assert (version, items, times) == (T0, [["i1", "i2"], []], [[T0 + 1000, T0 + 5000], []])


def test_any_order_and_repetition_give_the_same_newest_takes(histories):
    takes = [(f"e{n % 12:02}", "click", "u", f"i{n % 12}", n % 12 // 2) for n in range(36)]
    random.Random(3).shuffle(takes)
    for start in range(0, 36, 5):
        histories.apply(batch(*takes[start:start + 5]))
    assert histories.read(["u"], 0)[1] == [["i7", "i8", "i9", "i10", "i11"]]


def test_ties_are_ordered_by_event_id_also_where_one_begins_the_other(histories):
    histories.apply(batch(("e10", "click", "u", "third", 1), ("e1", "click", "u", "first", 1), ("e1é", "click", "u", "last", 1),
                          ("e1 ", "click", "u", "second", 1)))
    assert histories.read(["u"], 0)[1] == [["first", "second", "third", "last"]]


def test_the_first_ingested_time_of_an_id_stays(histories):
    histories.apply(batch(("e", "click", "u", "i", 1)))
    histories.apply(batch(("e", "click", "u", "i", 9)))
    assert histories.read(["u"], 0)[2] == [[T0 + 1000]]


def test_versions_only_grow(histories):
    versions = [histories.read([], now)[0] for now in (T0, T0 - 50, T0 - 50, T0 + 10, T0 + 10)]
    assert versions == [T0, T0 + 1, T0 + 2, T0 + 10, T0 + 11]


def test_what_is_too_old_leaves_the_store_when_it_is_read(histories):
    histories.apply(batch(*((f"e{n:02}", "click", "u", f"i{n}", n) for n in range(9))))
    assert len(dict(histories.everything())["u"]) == 9
    histories.read(["u"], 0)
    assert len(dict(histories.everything())["u"]) == 5
