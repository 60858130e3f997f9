"""The state store on a server that speaks the Redis protocol (Valkey).

    gatesid:{<group>/<topic>/<partition>}:meta       hash: identity, offset, watermark_ms, tick_ms
    gatesid:{…}:names                                set of segment names
    gatesid:{…}:s:<name>                             string: the segment
    gatesid:{…}:outbox                               hash: commit offset → rows to publish

The braces put a partition's keys into one slot of a cluster. A commit is one script (commit.lua): the server runs it alone and
writes it to its append-only file as one transaction.
"""

from pathlib import Path
from typing import Any

import redis

from features.errors import EnvironmentFault, StreamError
from streaming.changes import Changes
from streaming.state_store import Fenced, Identity, Position, Server, StoredPartition, fenced_message

SCRIPT = Path(__file__).with_name("commit.lua")
LOAD_ATTEMPTS = 20


def connect(url: str, cluster: bool = False) -> Any:
    """A client that returns bytes, of one server or of a cluster that the server belongs to.

    Raises EnvironmentFault: nobody answers, or it wants another password.
    """
    kind = redis.RedisCluster if cluster else redis.Redis
    try:
        client = kind.from_url(url, socket_timeout=30, socket_connect_timeout=5, health_check_interval=30)
        client.ping()
    except redis.RedisError as fault:
        address = url.rsplit("@", 1)[-1].split("//")[-1].split("?")[0]
        raise EnvironmentFault(
            f"the state store at {address} does not answer ({fault}): start it (`gatesid up`) or set GATESID_VALKEY and "
            "GATESID_VALKEY_PASSWORD; [valkey] says whether it speaks TLS and is a cluster") from None
    return client


def server_of(client: Any) -> Server:
    """Of a cluster, all its primaries."""
    if isinstance(client, redis.RedisCluster):
        asked: Any = client.info("everything", target_nodes=redis.RedisCluster.PRIMARIES)
        found = [asked[name] for name in sorted(asked)]
    else:
        found = [client.info("everything")]
    return Server("/".join(str(info["run_id"]) for info in found), sum(int(info["used_memory"]) for info in found))


class ValkeyStateStore:
    def __init__(self, client: Any, group: str, identity: Identity) -> None:
        self.client = client
        self.group = group
        self.identity = identity
        self.script = client.register_script(SCRIPT.read_text())

    def key(self, partition: int, name: str) -> str:
        return f"gatesid:{{{self.group}/{self.identity.topic}/{partition}}}:{name}"

    def meta(self, partition: int) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.client.hgetall(self.key(partition, "meta")).items()}

    def position(self, partition: int) -> Position | None:
        meta = self.meta(partition)
        if not meta:
            return None
        self.identity.check(meta, partition)
        return Position(int(meta["offset"]), int(meta["watermark_ms"]), int(meta["tick_ms"]))

    def outbox(self, partition: int) -> dict[int, bytes]:
        return {int(offset): value for offset, value in self.client.hgetall(self.key(partition, "outbox")).items()}

    def load(self, partition: int) -> StoredPartition | None:
        for _ in range(LOAD_ATTEMPTS):
            before = self.position(partition)
            if before is None:
                return None
            names = sorted(name.decode() for name in self.client.smembers(self.key(partition, "names")))
            values = self.client.mget([self.key(partition, f"s:{name}") for name in names]) if names else []
            outbox = self.outbox(partition)
            if self.position(partition) == before:  # else a commit came between the reads
                if None in values:
                    lost = [name for name, value in zip(names, values, strict=True) if value is None]
                    raise StreamError(f"partition {partition} lacks the segments {lost[:5]}: the state is damaged (were "
                                      "keys evicted? "
                                      "set maxmemory-policy noeviction); seed it again")
                return StoredPartition(before, dict(zip(names, values, strict=True)), outbox)
        raise StreamError(f"the state of partition {partition} changed during each of {LOAD_ATTEMPTS} reads: who else "
                          "consumes it?")

    def commit(self, partition: int, expected_offset: int | None, position: Position, changes: Changes,
               outbox: bytes | None) -> None:
        meta = self.identity.fields() | {"watermark_ms": str(position.watermark_ms), "tick_ms": str(position.tick_ms)}
        appends = {name: b"".join(values) for name, values in changes.appends.items()}
        names = [*appends, *changes.replaces, *changes.deletes]
        keys = [self.key(partition, name) for name in ("meta", "names", "outbox", *(f"s:{name}" for name in names))]
        args: list[Any] = ["" if expected_offset is None else expected_offset, position.offset, outbox or b"",
                           2 * len(meta), len(appends), len(changes.replaces), len(changes.deletes)]
        for pairs in (meta, appends, changes.replaces):
            for name, value in pairs.items():
                args += [name, value]
        done, found = self.script(keys=keys, args=[*args, *changes.deletes])
        if not done:
            raise Fenced(fenced_message(partition, expected_offset, int(found) if found else None))

    def drop_outbox(self, partition: int, offsets: list[int]) -> None:
        if offsets:
            self.client.hdel(self.key(partition, "outbox"), *offsets)

    def clear(self, partition: int) -> None:
        names = [f"s:{name.decode()}" for name in self.client.smembers(self.key(partition, "names"))]
        self.client.delete(*(self.key(partition, name) for name in ["meta", "names", "outbox", *names]))

    def server(self) -> Server:
        return server_of(self.client)
