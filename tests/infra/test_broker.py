"""The real broker: topics as the stream expects them, the same after a second call, and there again after a kill."""

import ast
import os
import signal

import pytest

from infra.broker import checked, create_topics, is_ready, prepare_broker, server_properties, set_append_time, topics
from infra.ports import free_port
from infra.processes import running_process, wait_until

pytestmark = pytest.mark.kafka


def topic_setting(address, topic, key):
    shown = ast.literal_eval(checked(address, "configs", "describe", "-r", "topic", "-n", topic))
    return shown["topic"][topic][key]["value"]


def partitions_of(address):
    return {topic["name"]: len(topic["partitions"]) for topic in ast.literal_eval(checked(address, "topics", "describe"))}


def test_every_topic_exists_with_its_partitions(broker):
    found = partitions_of(broker)
    assert {name: found[name] for name in ("events", "catalog", "dead-letters")} == {
        "events": 4, "catalog": 4, "dead-letters": 1}


def test_the_catalogue_is_compacted_and_stamped_by_the_broker(broker):
    assert topic_setting(broker, "catalog", "cleanup.policy") == "compact"
    assert topic_setting(broker, "catalog", "message.timestamp.type") == "LogAppendTime"


def test_events_start_with_the_producers_time(tmp_path):
    events = topics(4)[0]
    assert events.name == "events"
    assert "message.timestamp.type" not in events.config
    assert "log.message.timestamp.type=CreateTime" in server_properties(tmp_path, "127.0.0.1", 1, 2)


def test_events_are_never_deleted_for_their_age(broker):
    assert topic_setting(broker, "events", "retention.ms") == "-1"
    assert topic_setting(broker, "events", "cleanup.policy") == "delete"


def test_a_killed_broker_comes_back_with_its_topics_and_the_time_that_events_were_given(tmp_path):
    port = free_port()
    address, log = f"127.0.0.1:{port}", tmp_path / "kafka.log"
    command = prepare_broker(tmp_path / "kafka", tmp_path, "127.0.0.1", port, free_port(), heap_mb=256)
    with running_process(command, log) as process:
        wait_until(lambda: is_ready(address), process, "kafka", log, 60)
        create_topics(address, partitions=2)
        set_append_time(address)
        os.kill(process.pid, signal.SIGKILL)
    with running_process(command, log) as process:
        wait_until(lambda: is_ready(address), process, "kafka", log, 60)
        create_topics(address, partitions=2)
        assert partitions_of(address)["events"] == 2
        assert topic_setting(address, "events", "message.timestamp.type") == "LogAppendTime"
