"""`verify` finds every kind of difference; the commands' doors."""

import uuid
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from features.errors import ArtefactError, EnvironmentFault
from infra.settings import load_settings
from streaming import kafka_io
from streaming.__main__ import build_parser, main
from streaming.changes import Changes
from streaming.config import StreamConfig
from streaming.maturity_state import Rows
from streaming.sinks import LakeSink, MemorySink
from streaming.state_store import Position
from streaming.verify import require_published, verify
from streaming.wiring import config_from, open_broker, open_store

T0, DAY_MS = 1_767_225_600_000, 86_400_000
ROWS = [("a", T0, 1, 0), ("a", T0 + 10_000, 2, 0), ("b", T0 + 10_000, 1, 1)]


@pytest.fixture
def tables(tmp_path, write_maturity):
    """tables(streamed, rebuilt) -> the verdict on 2026-01-01."""
    def write(streamed, rebuilt):
        sink = LakeSink(tmp_path / "lake" / "item_maturity_log", "g", "events")
        for partition, row in enumerate(streamed):
            sink.push({partition: Rows([row[0]], *(np.array([value]) for value in row[1:]))})
        write_maturity(tmp_path, *zip(*rebuilt, strict=True))
        return verify(StreamConfig(tmp_path, "nowhere:1", "redis://nowhere:1"), date(2026, 1, 1), date(2026, 1, 2))
    return write


def test_equal_tables_have_nothing_to_tell(tables):
    verdict = tables(ROWS, [*ROWS, ("a", T0 + 86_400_000, 9, 9)])
    assert (verdict.streamed, verdict.rebuilt, verdict.differing) == (3, 3, 0)


def test_a_row_too_many_too_few_or_of_another_value_is_shown(tables):
    verdict = tables([*ROWS[:2], ("b", T0 + 10_000, 1, 2)], [*ROWS[1:], ("c", T0, 1, 0)])
    assert verdict.differing == 4
    assert "  only in the rebuild: c at 2026-01-01 00:00:00Z: 1 impressions, 0 clicks" in verdict.lines()


def test_a_row_that_stands_twice_differs(tables):
    verdict = tables([*ROWS, ROWS[0]], ROWS)
    assert verdict.differing == 1
    assert "stand twice" in verdict.lines()[-1]


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ArtefactError, match="run `python -m streaming run --role maturity` first"):
        verify(StreamConfig(tmp_path, "nowhere:1", "redis://nowhere:1"), date(2026, 1, 1), date(2026, 1, 2))


def test_the_watermark_command_says_no_with_its_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    assert main(["watermark", "--at-least", "2026-01-02"]) == 1
    assert "not yet" in capsys.readouterr().out


@pytest.fixture
def published_up_to(tmp_path, monkeypatch, broker, valkey):
    """published_up_to({partition: tick_ms}): a group of its own on the real broker and store, which has come that far."""
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    monkeypatch.setenv("GATESID_KAFKA", broker)
    monkeypatch.setenv("GATESID_VALKEY", valkey)
    monkeypatch.setenv("GATESID_STREAM__GROUP", f"verify-{uuid.uuid4().hex[:8]}")

    def come(ticks):
        config = config_from(load_settings())
        with open_broker(config) as broker:
            store = open_store(config, broker)
        for partition, tick_ms in ticks.items():
            store.commit(partition, None, Position(9, tick_ms, tick_ms), Changes(), None)
    return come


@pytest.mark.kafka
def test_verify_compares_the_day_before_by_default(tmp_path, published_up_to, capsys, write_maturity):
    published_up_to(dict.fromkeys(range(4), T0 + DAY_MS))
    log = LakeSink(tmp_path / "lake" / "item_maturity_log", "g", "events")
    log.push({0: Rows(["a"], np.array([T0]), np.array([1]), np.array([0]))})
    write_maturity(tmp_path, ["a"], [T0], [1], [0])
    assert main(["verify", "--as-of", "2026-01-02"]) == 0
    write_maturity(tmp_path, ["z"], [T0], [1], [0])
    assert main(["verify", "--as-of", "2026-01-02"]) == 1
    assert "only in the rebuild: z" in capsys.readouterr().out


@pytest.mark.kafka
def test_a_stream_that_lags_is_told_by_partition_and_nothing_is_compared(published_up_to, capsys):
    published_up_to({0: T0 + DAY_MS - 10_000, 1: T0 + DAY_MS - 20_000, 3: T0 + DAY_MS})
    assert main(["verify", "--as-of", "2026-01-02"]) == 3
    told = capsys.readouterr()
    assert "has not come as far as 2026-01-02 (p1 has come to 2026-01-01 23:59:40Z; p2 has no state)" in told.err
    assert "differing" not in told.out


@pytest.mark.kafka
def test_a_consumer_that_cannot_push_has_not_published(stream, make_events, wait_until):
    """Committed is not yet published: the rows wait in the outbox until the log takes them."""
    class FullDisk(MemorySink):
        def push(self, rows):
            raise OSError(28, "No space left on device")

    stream.send(make_events(300), T0 + 12 * DAY_MS)
    role = stream.maturity(MemorySink(), FullDisk())
    end = stream.start(role)
    assert wait_until(lambda: role.report.progress.reloads["OSError"])
    end()
    with pytest.raises(EnvironmentFault, match=r"p\d has [\d,]+ rows still to push"):
        require_published(stream.config, stream.store(), date(2026, 1, 9))
    end = stream.start(stream.maturity())
    assert wait_until(lambda: not any(stream.store().outbox(p) for p in range(4)))
    end()
    require_published(stream.config, stream.store(), date(2026, 1, 9))
    with pytest.raises(EnvironmentFault, match="p0 has come to 2026-01-13 00:00:00Z"):
        require_published(stream.config, stream.store(), date(2026, 1, 20))


def test_an_absent_broker_is_told_with_the_remedy(tmp_path, monkeypatch, capsys, free_port):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    monkeypatch.setenv("GATESID_KAFKA", f"127.0.0.1:{free_port()}")
    monkeypatch.setattr(kafka_io, "BOOTSTRAP_TIMEOUT_MS", 300)
    assert main(["status"]) == 3
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "seed", "replay", "send", "status", "verify", "watermark", "dead-letters", "state"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([command, "--help"])
    assert stopped.value.code == 0
    assert len(capsys.readouterr().out) > 100


def test_a_day_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["seed", "--as-of", "tomorrow"])
    assert "YYYY-MM-DD" in capsys.readouterr().err


def test_arrow_columns_are_the_contract(tmp_path):
    sink = LakeSink(tmp_path / "log", "g", "events")
    assert sink.table.schema.field("tick").type == pa.timestamp("us", tz="UTC")
