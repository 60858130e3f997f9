"""Per user the last takes (clicks and orders), in the shared state store: a sorted set, member = event and item, score =
event time.

Events are keyed by item, so several consumers write one user's set. Every command is idempotent and they commute: adding
what is there changes nothing, and what was trimmed can never be among the newest again. So the set may be written before
the batch is committed, and again after a crash. It is trimmed when it is read, which follows every write.

A push carries a version taken from one counter *after* the write and *before* the read: of two pushes the one with the
larger version has read everything that the other's writer wrote.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from features.spec import HISTORY_KEPT
from streaming.decode import IMPRESSION_KIND, Events
from streaming.take_sets import CHUNK, batched, take_sets

SEPARATOR = b"\x00\xff"  # 0x00 sorts an id before its longer siblings; 0xff is never part of UTF-8
NEXT_VERSION = """
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', version))
return string.format('%.0f', version)
"""


class UserHistories:
    def __init__(self, client: Any, group: str, kept: int = HISTORY_KEPT) -> None:
        self.client = client
        self.group = group
        self.kept = kept
        self.sets = take_sets(client)
        self.next_version = client.register_script(NEXT_VERSION)

    def key(self, user_id: str) -> bytes:
        return f"gatesid:{self.group}:takes:{user_id}".encode()

    def apply(self, events: Events) -> list[str]:
        """Add the takes among these events; the users they belong to."""
        takes: dict[str, dict[bytes, int]] = {}
        for i in (events.kind != IMPRESSION_KIND).nonzero()[0].tolist():
            member = events.event_id[i].encode() + SEPARATOR + events.item_id[i].encode()
            takes.setdefault(events.user_id[i], {}).setdefault(member, int(events.event_ms[i]))
        self.add(takes.items())
        return list(takes)

    def add(self, takes: Iterable[tuple[str, dict[bytes, int]]]) -> None:
        """{member: event time} per user. What is there keeps its time: the first ingested wins."""
        self.sets.add((self.key(user), members) for user, members in takes)

    def read(self, user_ids: Sequence[str], now_ms: int) -> tuple[int, list[list[str]], list[list[int]]]:
        """(version, items per user, event times per user), oldest first, by (time, event_id)."""
        version = int(self.next_version(keys=[f"gatesid:{self.group}:takes-version"], args=[now_ms]))
        keys = [self.key(user) for user in user_ids]
        found = self.sets.read(keys)
        for key, takes in zip(keys, found, strict=True):
            if len(takes) > self.kept:
                self.client.zremrangebyrank(key, 0, -self.kept - 1)
        found = [takes[-self.kept:] for takes in found]
        items = [[member.split(SEPARATOR, 1)[1].decode() for member, _ in takes] for takes in found]
        return version, items, [[time for _, time in takes] for takes in found]

    def everything(self) -> Iterator[tuple[str, dict[bytes, int]]]:
        """Every user's takes, {member: event time}, as `add` takes them."""
        prefix = self.key("")
        pattern = re.sub(rb"([*?\[\]\\^])", rb"\\\1", prefix) + b"*"
        for keys in batched(set(self.client.scan_iter(match=pattern, count=CHUNK)), CHUNK):
            for key, takes in zip(keys, self.sets.read(keys), strict=True):
                yield key.removeprefix(prefix).decode(), dict(takes)
