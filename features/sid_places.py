"""Where in an item's online row a codebook's SIDs are: two places, so that another codebook never disturbs the one in use.

    cb-1 live   a: cb-1   b: -                    a model reads the SIDs of its own codebook, wherever they are
    cb-2 comes  a: cb-1   b: cb-2, item by item   the old model still finds all of cb-1
    cb-2 live   a: cb-1   b: cb-2                 one model answers after the other, or back: no request mixes the two
    cb-3 comes  a: cb-3   b: cb-2                 it takes the place of the one that is not live

Who has which place stands in the online store, since it is true of that store alone; one script gives a place away.
"""

from typing import Any, NamedTuple

from features.names import CODEBOOK_VERSION, CODES, VIEW_SEMANTIC_ID, VIEW_SEMANTIC_ID_B


class Place(NamedTuple):
    """A view and its features; their names differ, since Feast answers by name alone."""

    view: str
    codes: str
    codebook: str


PLACES = {b"a": Place(VIEW_SEMANTIC_ID, CODES, CODEBOOK_VERSION),
          b"b": Place(VIEW_SEMANTIC_ID_B, f"{CODES}_b", f"{CODEBOOK_VERSION}_b")}
KEY = "gatesid:sid-places"
CLAIM = """
local version, live, claims = ARGV[1], ARGV[2], redis.call('HINCRBY', KEYS[1], 'claims', 1)
local function held(place) return redis.call('HGET', KEYS[1], place) or '' end
local function since(place) return tonumber(redis.call('HGET', KEYS[1], place .. '-since') or '0') end
for _, place in ipairs({'a', 'b'}) do
  if held(place) == version then
    if version == live then redis.call('HSET', KEYS[1], place .. '-since', claims) end
    return place
  end
end
local free = since('b') < since('a') and 'b' or 'a'
if held(free) == live and live ~= '' then free = free == 'a' and 'b' or 'a' end
redis.call('HSET', KEYS[1], free, version, free .. '-since', claims)
return free
"""


def claim_place(client: Any, version: str, live: str | None) -> Place:
    """Where SIDs of this codebook are pushed: its own place, else the free or older one that is not the live codebook's.

    Raises redis' RedisError.
    """
    return PLACES[client.eval(CLAIM, 1, KEY, version, live or "")]
