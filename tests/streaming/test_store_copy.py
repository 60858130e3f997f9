"""A store moved to another server goes on as if nothing had been; an emptied one is refused; a damaged one is told."""

import pytest

from features.errors import ArtefactError, StreamError
from streaming.changes import Changes
from streaming.sinks import MemorySink
from streaming.state_store import Identity, MemoryStateStore, Position
from streaming.store_copy import check, export, restore
from streaming.user_history import UserHistories

T0, DAY_MS = 1_767_225_600_000, 86_400_000


@pytest.mark.kafka
def test_a_store_moved_in_the_middle_goes_on_exactly(stream, make_events, truth_of, wait_until, tmp_path):
    events, until = make_events(3_000, seed=5), T0 + 12 * DAY_MS
    stream.send(events[:1_500], events[1_499]["ingest_ms"])
    sink, store, histories = MemorySink(), stream.store(), UserHistories(stream.client, stream.config.group)
    end = stream.start(stream.maturity(sink))
    assert wait_until(lambda: stream.config.ready_file("maturity").is_file())
    end()
    found = check(store, 4, stream.config.interval_ms)
    assert (len(found.lines), found.faults) == (4, [])
    assert export(store, histories, store.identity, tmp_path / "copy") == 20
    with pytest.raises(ArtefactError, match="exists"):
        export(store, histories, store.identity, tmp_path / "copy")

    stream.client.delete(*stream.client.scan_iter(f"gatesid:*{stream.config.group}*"))
    emptied = stream.start(stream.maturity(sink))
    assert wait_until(lambda: emptied.fault)
    with pytest.raises(StreamError, match=r"rows were published up to .* the state store knows nothing of it"):
        emptied()

    stream.running.remove(emptied)
    assert restore(store, histories, store.identity, tmp_path / "copy", replace=False) == [0, 1, 2, 3]
    stream.send(events[1_500:], until)
    end = stream.start(stream.maturity(sink))
    expected = truth_of(events, until)
    assert wait_until(lambda: len(sink.log) >= len(expected))
    end()
    assert sink.log == expected
    with pytest.raises(StreamError, match=r"partitions \[0, 1, 2, 3\] stand further"):
        restore(store, histories, store.identity, tmp_path / "copy", replace=False)
    restore(store, histories, store.identity, tmp_path / "copy", replace=True)
    role = stream.maturity(sink)
    end = stream.start(role)
    assert wait_until(lambda: stream.config.ready_file("maturity").is_file())
    end()
    assert (sink.log, role.report.progress.reloads["restored"]) == (expected, 4)


def test_what_contradicts_itself_is_told():
    store = MemoryStateStore(Identity("c", "events", 2, 10_000, 100))
    changes = Changes()
    changes.replace("items", b'"a"\n"a"\n')
    changes.replace("hour:0", b"\x00" * 21)
    changes.replace(f"seen:{T0}", b"\x00")
    store.commit(0, None, Position(5, T0, T0 - 1), changes, None)
    found = check(store, 2, 10_000)
    assert found.lines[1] == "p1: no state"
    for said in ("is not the one that watermark", "two rows", "counts of hour 0 are cut off", "are cut off"):
        assert any(said in fault for fault in found.faults), said


def test_an_export_of_another_cluster_is_refused(tmp_path):
    class Nobody:
        group = "g"

        def everything(self):
            return []

    store = MemoryStateStore(Identity("one", "events", 1, 10_000, 100))
    export(store, Nobody(), store.identity, tmp_path / "copy")
    other = MemoryStateStore(Identity("two", "events", 1, 10_000, 100))
    with pytest.raises(StreamError, match="cluster_id: stored one, now two"):
        restore(other, Nobody(), other.identity, tmp_path / "copy", replace=False)
