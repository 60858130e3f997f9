"""One contract for every state store: all or nothing, fenced by the offset, only for what it was made with."""

import uuid
from dataclasses import replace

import pytest

from features.errors import StreamError
from streaming.changes import Changes
from streaming.state_store import Fenced, Identity, MemoryStateStore, Position
from streaming.valkey_store import ValkeyStateStore, connect

IDENTITY = Identity("cluster-a", "events", 4, 10_000, 100)


def memory(request):
    shared = {}
    return lambda identity=IDENTITY: MemoryStateStore(identity, shared)


def server(request):
    client, group = connect(f"redis://{request.getfixturevalue('valkey')}"), uuid.uuid4().hex
    return lambda identity=IDENTITY: ValkeyStateStore(client, group, identity)


@pytest.fixture(params=[memory, server], ids=["memory", "valkey"])
def open_store(request):
    """open_store(identity): one more client of the same state."""
    return request.param(request)


def changes(appends=(), replaces=(), deletes=()):
    made = Changes()
    for name, value in appends:
        made.append(name, value)
    for name, value in replaces:
        made.replace(name, value)
    for name in deletes:
        made.delete(name)
    return made


def test_nothing_is_stored_at_first(open_store):
    store = open_store()
    assert store.load(0) is None
    assert store.position(0) is None


def test_a_commit_is_what_is_loaded(open_store):
    store = open_store()
    store.commit(0, None, Position(5, 70, 60), changes([("items", b"a"), ("items", b"b"), ("hour:0", b"\x00\xff")]), b"rows")
    store.commit(0, 5, Position(9, 80, 60), changes([("items", b"c")], [("hour:0", b"new")]), None)
    loaded = open_store().load(0)
    assert loaded.position == Position(9, 80, 60)
    assert loaded.segments == {"items": b"abc", "hour:0": b"new"}
    assert loaded.outbox == open_store().outbox(0) == {5: b"rows"}
    assert open_store().load(1) is None


def test_deleted_segments_are_gone_and_may_come_back(open_store):
    store = open_store()
    store.commit(0, None, Position(1, 1, 0), changes([("hour:0", b"a"), ("hour:1", b"b")]), None)
    store.commit(0, 1, Position(2, 2, 0), changes(deletes=["hour:0", "hour:7"]), None)
    assert store.load(0).segments == {"hour:1": b"b"}
    store.commit(0, 2, Position(3, 3, 0), changes([("hour:0", b"c")]), None)
    assert store.load(0).segments == {"hour:1": b"b", "hour:0": b"c"}


def test_a_zombie_is_fenced_and_changes_nothing(open_store):
    zombie, owner = open_store(), open_store()
    zombie.commit(0, None, Position(5, 5, 0), changes([("items", b"a")]), None)
    owner.commit(0, 5, Position(8, 8, 0), changes([("items", b"b")]), b"rows")
    with pytest.raises(Fenced, match="stands at offset 8"):
        zombie.commit(0, 5, Position(7, 7, 0), changes([("items", b"zombie")], deletes=["items"]), b"zombie")
    with pytest.raises(Fenced):
        zombie.commit(0, None, Position(7, 7, 0), changes(), None)
    loaded = owner.load(0)
    assert (loaded.position.offset, loaded.segments, loaded.outbox) == (8, {"items": b"ab"}, {8: b"rows"})


def test_a_commit_against_missing_state_is_fenced(open_store):
    with pytest.raises(Fenced):
        open_store().commit(0, 5, Position(8, 8, 0), changes(), None)


def test_the_outbox_is_emptied_entry_by_entry(open_store):
    store = open_store()
    for n in range(3):
        store.commit(0, n or None, Position(n + 1, n, 0), changes(), b"rows%d" % n)
    store.drop_outbox(0, [1, 2, 99])
    store.drop_outbox(0, [1])
    assert store.load(0).outbox == {3: b"rows2"}


def test_a_cleared_partition_starts_anew(open_store):
    store = open_store()
    store.commit(0, None, Position(5, 5, 0), changes([("items", b"a")]), b"rows")
    store.clear(0)
    assert store.load(0) is None
    store.commit(0, None, Position(1, 1, 0), changes(), None)
    assert store.load(0).segments == {}


@pytest.mark.parametrize(("name", "value"), [("cluster_id", "cluster-b"), ("partitions", 8), ("interval_ms", 60_000),
                                             ("schema_version", 2), ("topic", "other"), ("dedupe_horizon_ms", 5)])
def test_state_of_something_else_is_refused(open_store, name, value):
    open_store().commit(0, None, Position(5, 5, 0), changes(), None)
    other = open_store(replace(IDENTITY, **{name: value}))
    if name == "topic" and isinstance(other, ValkeyStateStore):
        assert other.load(0) is None  # the topic is part of the key
    else:
        with pytest.raises(StreamError, match=f"{name}: stored .*seed --as-of"):
            other.load(0)
