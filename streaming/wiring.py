"""How settings become the parts of a stream process; imports what a role needs, when it is made."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from features.clock import SystemClock
from features.names import TABLE_MATURITY_LOG
from streaming.config import StreamConfig


def config_from(settings: Any) -> StreamConfig:
    stream = settings.stream
    return StreamConfig(
        settings.home, settings.addresses.kafka, settings.valkey_url, stream.group, settings.kafka.partitions,
        stream.publish_interval_ms, batch_records=stream.batch_records, heartbeat_ms=stream.heartbeat_ms,
        valkey_cluster=settings.valkey.cluster)


@contextmanager
def open_broker(config: StreamConfig) -> Iterator[Any]:
    from streaming.kafka_io import Broker

    with closing(Broker(config.bootstrap)) as broker:
        broker.check_topics({config.events_topic: config.partitions, config.catalog_topic: config.partitions,
                             config.dead_letters_topic: None})
        yield broker


def open_store(config: StreamConfig, broker: Any) -> Any:
    from streaming.state_store import Identity
    from streaming.valkey_store import ValkeyStateStore, connect

    identity = Identity(
        broker.cluster_id(), config.events_topic, config.partitions, config.interval_ms, config.dedupe_horizon_ms)
    return ValkeyStateStore(connect(config.valkey_url, config.valkey_cluster), config.group, identity)


def maturity_role(config: StreamConfig, settings: Any, broker: Any, report: Any) -> Any:
    from features.retrieval import OnlineFeatures
    from features.retrieval import config_from as feature_config
    from streaming.consumer import MaturityRole
    from streaming.dead_letter import DeadLetters
    from streaming.heartbeat import Heartbeats
    from streaming.kafka_io import Producer
    from streaming.sinks import FeastPushSink, LakeSink
    from streaming.user_history import UserHistories

    store, producer = open_store(config, broker), Producer(config.bootstrap)
    online = OnlineFeatures(feature_config(settings))
    online.check()  # refuse now, not at the first push
    feast = FeastPushSink(online)
    log = LakeSink(config.layout.table(TABLE_MATURITY_LOG), config.group, config.events_topic)
    return MaturityRole(
        config, store, UserHistories(store.client, config.group), feast, log, feast,
        DeadLetters(producer, config.dead_letters_topic),
        Heartbeats(producer, broker, config.events_topic, config.heartbeat_ms), report, SystemClock())


def lake_role(config: StreamConfig, settings: Any, broker: Any, report: Any) -> Any:
    from streaming.raw_lake import LakeRole

    return LakeRole(config, broker.cluster_id(), report)


def catalog_role(config: StreamConfig, settings: Any, broker: Any, report: Any) -> Any:
    from features.encoder import ContentEncoder
    from features.retrieval import OnlineFeatures
    from features.retrieval import config_from as feature_config
    from streaming.dead_letter import DeadLetters
    from streaming.kafka_io import Producer
    from streaming.new_items import CatalogRole
    from streaming.valkey_store import connect

    online = OnlineFeatures(feature_config(settings))
    online.check()
    letters = DeadLetters(Producer(config.bootstrap), config.dead_letters_topic)
    client = connect(config.valkey_url, config.valkey_cluster)
    return CatalogRole(config, client, online, ContentEncoder.load, letters, report, SystemClock())


ROLES = {"maturity": maturity_role, "lake": lake_role, "catalog": catalog_role}
