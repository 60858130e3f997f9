"""Feast's Redis store with a write that no older row can win.

Feast reads the stored times of a whole batch and then writes; between the two another writer's newer row can be overwritten:
two consumers, or a nightly run beside the stream, meet there. Here each row is compared and written by one script on the server
(ADR-0003). Layout and reads are Feast's; it finds this class by its name, in its configuration.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from google.protobuf.timestamp_pb2 import Timestamp

SCRIPT = Path(__file__).with_name("newest_wins.lua").read_text()


TYPE = Literal["features.newest_wins_store.NewestWinsOnlineStore"]


class NewestWinsOnlineStoreConfig(RedisOnlineStoreConfig):
    type: TYPE = "features.newest_wins_store.NewestWinsOnlineStore"  # type: ignore[assignment]


class NewestWinsOnlineStore(RedisOnlineStore):
    def online_write_batch(
        self, config: Any, table: Any, data: list[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write the rows that are newer than what is stored, one round trip in all. Raises redis' RedisError."""
        stamp_field = f"_ts:{table.name}"
        # The script as a whole, as a plain command: a cluster's pipelines carry no other; the server compiles it once.
        with self._get_client(config.online_store).pipeline(transaction=False) as pipeline:
            for entity, values, moment, _ in data:
                stamp = Timestamp()
                stamp.FromDatetime(moment)
                fields = [part for name, value in values.items()
                          for part in (_mmh3(f"{table.name}:{name}"), value.SerializeToString())]
                key = _redis_key(config.project, entity, config.entity_key_serialization_version)
                pipeline.execute_command("EVAL", SCRIPT, 1, key, stamp_field, stamp.SerializeToString(), *fields)
            pipeline.execute()
        if progress:
            progress(len(data))
