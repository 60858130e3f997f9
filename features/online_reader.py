"""Feast's online rows in one round trip per entity kind.

Feast's own read asks once per view and entity and builds a protobuf response row by row: two thirds of a ranking request
went there. This reads the same hashes by Feast's published layout (project and entity key → field → protobuf value; ADR-0003);
tests compare it with `get_online_features` and with Feast's own keys. Writing stays Feast's.
"""

from collections.abc import Sequence
from typing import Any

from features.feast_config import FeatureStoreConfig

KEY_VERSION = 3
LENGTH_BYTES = 4
PROJECT = b"gatesid"

# What is stored of the entities asked for, one value an entity, None where nothing is: by "view:feature" the serialised
# feast Value, and by view the serialised Timestamp of its row.
Columns = dict[str, Sequence[bytes | None]]
Stored = list[list[bytes | None]]


class OnlineReader:
    """Reads what one feature service names, for entities with one string key."""

    def __init__(self, config: FeatureStoreConfig, service: Any, join_key: str) -> None:
        from feast.infra.online_stores.helpers import _mmh3

        names = [f"{view.name}:{feature.name}" for view in service.feature_view_projections for feature in view.features]
        views = [view.name for view in service.feature_view_projections]
        self.names = names + views
        self.fields = [*map(_mmh3, names), *(f"_ts:{view}".encode() for view in views)]
        self.key_prefix = key_prefix(join_key)
        self.client = connect(config, config.read_timeout_ms)
        self.fetch = self.from_cluster if config.online_cluster else self.from_one_node

    def read(self, entity_ids: Sequence[str]) -> Columns:
        """In the order asked. Raises redis' RedisError."""
        if not entity_ids:
            return {name: () for name in self.names}
        stored = self.fetch([self.key_of(entity_id) for entity_id in entity_ids])
        return dict(zip(self.names, zip(*stored, strict=True), strict=True))

    def key_of(self, entity_id: str) -> bytes:
        text = entity_id.encode()
        return self.key_prefix + len(text).to_bytes(LENGTH_BYTES, "little") + text + PROJECT

    def from_one_node(self, keys: list[bytes]) -> Stored:
        head = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(self.fields))
        tail = b"".join(map(bulk, self.fields))
        return replies(self.client, b"".join([head + bulk(key) + tail for key in keys]), len(keys))

    def from_cluster(self, keys: list[bytes]) -> Stored:
        """redis-py's own pipeline, which knows the nodes of the keys and follows them when they move."""
        with self.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, self.fields)
            return pipeline.execute()


def bulk(text: bytes) -> bytes:
    """A string of Redis' protocol."""
    return b"$%d\r\n%s\r\n" % (len(text), text)


def key_prefix(join_key: str) -> bytes:
    """What Feast's key of an entity with one string key begins with, up to the length of the entity's id."""
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    nameless = serialize_entity_key(EntityKey(join_keys=[join_key], entity_values=[Value(string_val="")]), KEY_VERSION)
    return nameless[:-LENGTH_BYTES]


def replies(client: Any, commands: bytes, count: int) -> Stored:
    """Send packed commands and read one reply each, in a third of the time of redis-py's pipeline, which packs and dispatches
    them one by one. A connection found dead is replaced once; a timeout is final.
    """
    from redis.exceptions import ConnectionError

    try:
        return exchange(client.connection_pool, commands, count)
    except ConnectionError:
        return exchange(client.connection_pool, commands, count)


def exchange(pool: Any, commands: bytes, count: int) -> Stored:
    connection = pool.get_connection()
    try:
        connection.send_packed_command([commands])
        return [connection.read_response(disable_decoding=True) for _ in range(count)]
    except BaseException:
        connection.disconnect()  # replies not read yet must not be taken for those of the next request
        raise
    finally:
        pool.release(connection)


def connect(config: FeatureStoreConfig, timeout_ms: int) -> Any:
    """A client that gives an answer up after `timeout_ms` and does not ask again. (To follow a moved key is a retry too.)"""
    from redis import Redis, RedisCluster
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    host, port = config.online_address.rsplit(":", 1)
    seconds = timeout_ms / 1000
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": config.online_ca_file or None} if config.online_tls else {}
    return (RedisCluster if config.online_cluster else Redis)(
        host=host, port=int(port), password=config.online_password, socket_connect_timeout=seconds, socket_timeout=seconds,
        retry=Retry(NoBackoff(), int(config.online_cluster)), **tls)
