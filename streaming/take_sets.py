"""The sorted sets behind user histories, many at a time: in one script call on one server, in pipelines on a cluster, where the
keys of a call must lie in one slot. A client's pipeline costs some ten microseconds a command; a script's loop one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

import redis

CHUNK = 2_000
Takes = tuple[bytes, dict[bytes, int]]  # key → {member: score}
Found = list[tuple[bytes, int]]  # (member, score), ascending
Item = TypeVar("Item")

ADD = """
local arg = 1
for i = 1, #KEYS do
  local count = tonumber(ARGV[arg])
  for n = arg + 1, arg + 2 * count, 2 do redis.call('ZADD', KEYS[i], 'NX', ARGV[n + 1], ARGV[n]) end
  arg = arg + 2 * count + 1
end
"""
READ = """
local found = {}
for i = 1, #KEYS do found[i] = redis.call('ZRANGE', KEYS[i], 0, -1, 'WITHSCORES') end
return found
"""


class TakeSets(Protocol):
    def add(self, takes: Iterable[Takes]) -> None:
        """Members that are there keep their score."""

    def read(self, keys: Sequence[bytes]) -> list[Found]:
        """Whole sets, in the order asked."""


class ServerSets:
    def __init__(self, client: Any) -> None:
        self.add_script, self.read_script = client.register_script(ADD), client.register_script(READ)

    def add(self, takes: Iterable[Takes]) -> None:
        for some in batched(takes, CHUNK):
            args: list[bytes | int] = []
            for _, members in some:
                args.append(len(members))
                for pair in members.items():
                    args += pair
            self.add_script(keys=[key for key, _ in some], args=args)

    def read(self, keys: Sequence[bytes]) -> list[Found]:
        found: list[Found] = []
        for some in batched(keys, CHUNK):
            for flat in self.read_script(keys=some):
                found.append(list(zip(flat[::2], map(int, map(float, flat[1::2])), strict=True)))
        return found


class ClusterSets:
    def __init__(self, client: Any) -> None:
        self.client = client

    def add(self, takes: Iterable[Takes]) -> None:
        for some in batched(takes, CHUNK):
            pipe = self.client.pipeline(transaction=False)
            for key, members in some:
                pipe.zadd(key, members, nx=True)
            pipe.execute()

    def read(self, keys: Sequence[bytes]) -> list[Found]:
        found: list[Found] = []
        for some in batched(keys, CHUNK):
            pipe = self.client.pipeline(transaction=False)
            for key in some:
                pipe.zrange(key, 0, -1, withscores=True)
            found += [[(member, int(score)) for member, score in takes] for takes in pipe.execute()]
        return found


def take_sets(client: Any) -> TakeSets:
    return ClusterSets(client) if isinstance(client, redis.RedisCluster) else ServerSets(client)


def batched(things: Iterable[Item], size: int) -> Iterator[list[Item]]:
    waiting = iter(things)
    while some := list(islice(waiting, size)):
        yield some
