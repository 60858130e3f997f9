"""A seeded world whose truth is known, for tests and for scale (up to 10^8 events, written in chunks of an hour at most).

    item   cluster c, quality q = half by its cluster and half its own (so content tells half of it), a birth, an
           exposure weight that grows with q and with age: the feed shows what is good and what is old (exposure bias);
           where a world has tastes, a taste t that nothing but who clicks it tells: content for newcomers, behaviour later
    user   an affinity to each cluster, an activity
    P(click | shown)   = sigmoid(click_base + q + affinity[user, c] + taste_affinity[user, t])
    P(order | clicked) = sigmoid(order_base + q)

A request shows `slate` items at one time; a click follows within 60 s, an order within 10 min of its click, both on the
same day. Title, attributes and vector of an item tell its cluster. `truth_items.parquet` and `truth_users.parquet` lie
beside the events; the numbers above are in the manifest's `world`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.clock import MS_PER_DAY, Clock, day_start_ms
from features.errors import ConfigError
from features.events import CLICK, IMPRESSION, ORDER
from features.layout import Layout
from features.windows import HOUR_MS
from infra.datasets.prepared import EVENTS, ITEMS, EventFiles, publish, write_items
from infra.datasets.timeline import yesterday

Float = NDArray[np.float64]
Int = NDArray[np.int64]
CLICK_WITHIN_MS, ORDER_WITHIN_MS = 60_000, 600_000
WORDS = [
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "jade", "knoll", "larch", "mesa",
    "north", "ochre", "pine", "quartz", "reef", "slate", "tundra", "umber", "vale", "willow", "xenon", "yarrow", "zephyr",
]
KINDS = [
    "lamp", "chair", "kettle", "jacket", "novel", "drill", "teapot", "scarf", "radio", "blanket", "compass", "mirror",
    "basket", "ladder", "wallet", "clock", "candle", "mattress", "bottle", "saddle",
]


@dataclass(frozen=True)
class WorldConfig:
    """What a world is made from; equal configs and last days give equal files."""

    users: int = 2_000
    items: int = 500
    days: int = 30
    events: int = 1_000_000  # about; impressions, clicks and orders together
    seed: int = 1
    clusters: int = 20
    cluster_pull: float = 0.8  # standard deviation of users' affinities to a cluster, in logits
    tastes: int = 0  # groups of items that content does not tell; 0: none
    taste_pull: float = 0.8  # as cluster_pull, to a taste
    vector_width: int = 32
    slate: int = 5  # items a request shows
    born_within: float = 0.3  # share of items born during the days; the rest up to 400 days before
    click_base: float = -2.2
    order_base: float = -1.5
    chunk_requests: int = 100_000  # at most, drawn at once

    def __post_init__(self) -> None:
        faults = [f"{name} must be at least {low}, got {getattr(self, name)}" for name, low in (
            ("users", 1), ("items", 2), ("days", 1), ("events", 1), ("clusters", 1), ("cluster_pull", 0), ("tastes", 0),
            ("taste_pull", 0), ("vector_width", 1), ("slate", 1), ("chunk_requests", 1)) if getattr(self, name) < low]
        if not 0 <= self.born_within < 1:
            faults.append(f"born_within must be in [0, 1), got {self.born_within}")
        if faults:
            raise ConfigError("simulator: " + "; ".join(faults))


@dataclass(frozen=True)
class World:
    """The truth: everything the events are drawn from."""

    config: WorldConfig
    first_day: date
    cluster: Int  # [items]
    taste: Int  # [items]; all 0 where there are none
    quality: Float  # [items], about standard normal
    popularity: Float  # [items] exposure weight at birth, grows with quality
    born_ms: Int  # [items]
    affinity: Float  # [users, clusters]
    taste_affinity: Float  # [users, tastes, at least 1]; zeros where there are none
    activity: Float  # [users] cumulative share of requests
    vectors: NDArray[np.float32]  # [items, vector_width]
    words: Int  # [items, 2]

    @cached_property
    def item_names(self) -> pa.Array:
        return pc.binary_join_element_wise("i", pa.array(np.arange(len(self.cluster))).cast(pa.string()), "")

    @cached_property
    def user_names(self) -> pa.Array:
        return pc.binary_join_element_wise("u", pa.array(np.arange(len(self.affinity))).cast(pa.string()), "")

    def click_chance(self, user: Int, item: Int) -> Float:
        drawn_to = self.affinity[user, self.cluster[item]] + self.taste_affinity[user, self.taste[item]]
        return sigmoid(self.config.click_base + self.quality[item] + drawn_to)

    def order_chance(self, item: Int) -> Float:
        return sigmoid(self.config.order_base + self.quality[item])

    def exposure(self, at_ms: int) -> Float:
        """Cumulative exposure weights of the items online at a moment; a newcomer starts at a fifth and ramps up in 30 days."""
        age_days = (at_ms - self.born_ms) / MS_PER_DAY
        return np.cumsum(np.where(age_days >= 0, self.popularity * np.clip(0.2 + 0.8 * age_days / 30, 0, 1), 0))


def sigmoid(x: Float) -> Float:
    return 1 / (1 + np.exp(-x))


def make_world(config: WorldConfig, last_day: date) -> World:
    rng = np.random.default_rng([config.seed, 0])
    hidden = np.random.default_rng([config.seed, 3])  # of its own: tastes leave everything else of a world as it was
    first_day = last_day - timedelta(days=config.days - 1)
    cluster = rng.integers(0, config.clusters, config.items)
    quality = np.sqrt(0.5) * (rng.standard_normal(config.clusters)[cluster] + rng.standard_normal(config.items))
    start, length = day_start_ms(first_day), config.days * MS_PER_DAY
    born = np.where(rng.random(config.items) < config.born_within, start + rng.random(config.items) * length,
                    start - rng.random(config.items) * 400 * MS_PER_DAY).astype(np.int64)
    born[0] = start - MS_PER_DAY  # something to show from the first moment
    centres = rng.standard_normal((config.clusters, config.vector_width))
    activity = np.cumsum(rng.lognormal(0, 1, config.users))
    tastes = max(1, config.tastes)
    taste_pull = config.taste_pull if config.tastes else 0
    return World(
        config, first_day, cluster, hidden.integers(0, tastes, config.items), quality,
        np.exp(0.5 * quality + rng.standard_normal(config.items)), born,
        config.cluster_pull * rng.standard_normal((config.users, config.clusters)),
        taste_pull * hidden.standard_normal((config.users, tastes)), activity / activity[-1],
        (centres[cluster] + 0.5 * rng.standard_normal((config.items, config.vector_width))).astype(np.float32),
        rng.integers(0, len(WORDS), (config.items, 2)))


def prepare(layout: Layout, clock: Clock, *, name: str, world: WorldConfig) -> tuple[Path, bool]:
    """Make data/<name>, its last day yesterday."""
    last_day = yesterday(clock)
    return publish(layout, name, {"world": asdict(world), "last_day": last_day},
                   lambda draft: fill(draft, make_world(world, last_day)))


def fill(draft: Path, world: World) -> dict[str, Any]:
    files = EventFiles(draft)
    for table in event_chunks(world):
        files.write(table)
    files.close()
    items = items_of(world)
    write_truth(draft, world)
    return {
        "labels": ["clicked", "ordered"], **files.summary(), "items": write_items(draft, items), "negatives": 0,
        "seed": world.config.seed, "world": asdict(world.config), "rejected": {}, "warnings": {}, "shift_weeks": 0,
        "sources": {},
        "provenance": {"source": "the simulator", "licence": "none needed", "about": "synthetic: its truth is in "
                                                                                     "truth_*.parquet"}}


def event_chunks(world: World) -> Iterator[pa.Table]:
    """Rows of EVENTS in ingest order, an hour or less at a time. Responses that outlast their chunk wait for the next."""
    config = world.config
    per_request = events_per_request(world)
    hours = config.days * 24
    # Evenings are busier: requests of an hour follow a daily wave, the same in expectation every day.
    wave = 1 + 0.8 * np.sin((np.arange(hours) % 24 - 14) * np.pi / 12)
    cuts = np.rint(np.cumsum(wave) / wave.sum() * config.events / per_request).astype(np.int64)
    waiting, request = EVENTS.empty_table(), 0
    for hour in range(hours):
        start_ms = day_start_ms(world.first_day) + hour * HOUR_MS
        wanted = int(cuts[hour] - (cuts[hour - 1] if hour else 0))
        slices = max(1, -(-wanted // config.chunk_requests))
        for part in range(slices):
            # Seeded by hour and slice: a chunk is the same whatever was drawn before it.
            rng = np.random.default_rng([config.seed, 1, hour, part])
            count = wanted // slices + (part < wanted % slices)
            from_ms, until_ms = (start_ms + HOUR_MS * edge // slices for edge in (part, part + 1))
            drawn = pa.concat_tables([waiting, draw_requests(world, rng, count, from_ms, until_ms, request)])
            request += count
            drawn = drawn.take(np.argsort(drawn["ingest_time_ms"].to_numpy(), kind="stable"))
            ready = int(np.searchsorted(drawn["ingest_time_ms"].to_numpy(), until_ms))
            waiting = drawn.slice(ready)
            yield drawn.slice(0, ready)
    yield waiting


def events_per_request(world: World) -> float:
    """Impressions, clicks and orders a request gives on average, from a sample at the middle of the days."""
    rng = np.random.default_rng([world.config.seed, 2])
    user, item = draw_pairs(world, rng, 20_000, day_start_ms(world.first_day) + world.config.days * MS_PER_DAY // 2)
    clicks = world.click_chance(user, item)
    return world.config.slate * float(1 + clicks.mean() + (clicks * world.order_chance(item)).mean())


def draw_pairs(world: World, rng: np.random.Generator, requests: int, at_ms: int) -> tuple[Int, Int]:
    """Users and shown items of some requests: int64[requests * slate] each."""
    weights = world.exposure(at_ms)
    slate = world.config.slate
    user = np.repeat(np.searchsorted(world.activity, rng.random(requests)), slate)
    item = np.searchsorted(weights, rng.random(requests * slate) * weights[-1], side="right")
    return np.minimum(user, len(world.affinity) - 1), np.minimum(item, len(world.cluster) - 1)


def draw_requests(world: World, rng: np.random.Generator, requests: int, from_ms: int, until_ms: int, first: int) -> pa.Table:
    """The events of `requests` requests that start in [from_ms, until_ms), numbered from `first`; not yet in order."""
    slate = world.config.slate
    user, item = draw_pairs(world, rng, requests, from_ms)
    shown_ms = np.repeat(np.sort(rng.integers(from_ms, until_ms, requests)), slate)
    clicked = rng.random(len(user)) < world.click_chance(user, item)
    ordered = clicked & (rng.random(len(user)) < world.order_chance(item))
    day_end = (shown_ms // MS_PER_DAY + 1) * MS_PER_DAY - 1
    click_ms = np.minimum(shown_ms + rng.integers(1_000, CLICK_WITHIN_MS, len(user)), day_end)
    order_ms = np.minimum(click_ms + rng.integers(1_000, ORDER_WITHIN_MS, len(user)), day_end)
    rows = [np.arange(len(user)), np.flatnonzero(clicked), np.flatnonzero(ordered)]
    at = np.concatenate(rows)
    time_ms = pa.array(np.concatenate([shown_ms, click_ms[clicked], order_ms[ordered]]))
    counts = [len(one) for one in rows]
    request = pc.binary_join_element_wise("r", pa.array(first + at // slate).cast(pa.string()), "")
    ids = pc.binary_join_element_wise(request, pa.array(np.array(list("ico")).repeat(counts)),
                                      pa.array(at % slate).cast(pa.string()), "-")
    return pa.Table.from_arrays([
        ids, pa.array([IMPRESSION, CLICK, ORDER]).take(np.repeat([0, 1, 2], counts)), world.user_names.take(user[at]),
        world.item_names.take(item[at]), time_ms, time_ms, request, pa.nulls(len(at), pa.string())], schema=EVENTS)


def items_of(world: World) -> pa.Table:
    kinds = [f"{KINDS[c % len(KINDS)]} {c // len(KINDS)}".removesuffix(" 0") for c in world.cluster]
    titles = [f"{WORDS[a]} {kind} {WORDS[b]}" for kind, (a, b) in zip(kinds, world.words, strict=True)]
    attributes = [f'{{"brand": "{WORDS[a]}", "category": "{kind}"}}' for kind, (a, _) in zip(kinds, world.words, strict=True)]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(world.vectors.ravel()), world.config.vector_width)
    return pa.Table.from_arrays([
        world.item_names, pa.array(titles), pa.array(attributes), pa.array(world.born_ms),
        vectors.cast(ITEMS.field("vector").type)], schema=ITEMS)


def write_truth(folder: Path, world: World) -> None:
    items = {"item_id": world.item_names, "cluster": world.cluster, "quality": world.quality,
             "popularity": world.popularity, "born_ms": world.born_ms}
    users = {"user_id": world.user_names, "affinity": per_user(world.affinity)}
    if world.config.tastes:
        items["taste"], users["taste_affinity"] = world.taste, per_user(world.taste_affinity)
    pq.write_table(pa.table(items), folder / "truth_items.parquet")
    pq.write_table(pa.table(users), folder / "truth_users.parquet")


def per_user(values: Float) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
