"""The gate falls as items mature, in worlds where content tells a part and behaviour the rest.

A world hides tastes: content tells an item's cluster, and only who clicks it tells its taste. Days are made in memory, at the
granularity of a day: histories, repeat features and 7-day counts are those of the days before.

What this does not show: that trained ids are the reason. The gate falls as well where every day deals the item rows anew, so
that ids tell nothing: it learns that some weight is right for items of high counts, and reads the rest from their logarithms.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.clock import MS_PER_DAY, day_start_ms
from features.history import last_distinct, repeat_features
from features.spec import FIRST_ROW, HISTORY_LENGTH, NUM_LEVELS
from infra.datasets.simulator import WorldConfig, draw_pairs, make_world
from model.dataset import Day

pytestmark = pytest.mark.tf

USERS, ITEMS, GROUPS = 1_000, 400, 40
DAYS, ONLY_LIVED, JUDGED = 100, 40, 10  # the first 40 fill histories and counts, the last 10 are judged
REQUESTS = 500  # a day, of 5 impressions each
AGE_EDGES = (0, 1, 2, 4, 8, 16, 32, 64)  # days; older items were all learnt from for as long as there are days


def world_of(seed):
    return make_world(
        WorldConfig(users=USERS, items=ITEMS, days=DAYS, events=1, seed=seed, clusters=GROUPS, tastes=GROUPS, cluster_pull=2.0,
                    taste_pull=2.0, born_within=0.7, click_base=-3.5), date(2026, 11, 24))


def days_of(world):
    """The Days after the first ONLY_LIVED."""
    rng = np.random.default_rng([world.config.seed, 9])
    shown, clicked = np.zeros([2, DAYS + 7, ITEMS])  # of a day, in the row 7 below it
    taken, taken_ms = ([np.empty(0, np.int64) for _ in range(USERS)] for _ in range(2))
    history = np.zeros([USERS, HISTORY_LENGTH], np.int32)
    for number in range(DAYS):
        ds = world.first_day + timedelta(days=number)
        start_ms = day_start_ms(ds)
        user, item = draw_pairs(world, rng, REQUESTS, start_ms + MS_PER_DAY // 2)
        click = rng.random(len(user)) < world.click_chance(user, item)
        if number >= ONLY_LIVED:
            age = (start_ms + MS_PER_DAY // 2 - world.born_ms[item]) // MS_PER_DAY
            week = slice(number, number + 7)
            repeats = np.array([repeat_features(taken[u], taken_ms[u], np.array([i]), start_ms)
                                for u, i in zip(user, item, strict=True)], np.float32)
            yield Day(str(ds), {
                "user_row": (user + FIRST_ROW).astype(np.int32), "item_row": (item + FIRST_ROW).astype(np.int32),
                "hour_of_day": np.full(len(user), 12, np.int32), "day_of_week": np.full(len(user), ds.weekday(), np.int32),
                "item_stats": np.stack([age, shown[week].sum(0)[item], clicked[week].sum(0)[item]], 1).astype(np.float32),
                "history_rows": history[user], "repeat_count": repeats[:, 0, 0], "repeat_age_days": repeats[:, 1, 0]},
                click.astype(np.int8), np.zeros(len(user), np.int8), pa.table({}))
        np.add.at(shown[number + 7], item, 1)
        np.add.at(clicked[number + 7], item[click], 1)
        for u in np.unique(user[click]):
            new = item[click & (user == u)]
            taken[u], taken_ms[u] = np.r_[taken[u], new], np.r_[taken_ms[u], np.full(len(new), start_ms)]
            last = last_distinct(taken[u])
            history[u, :len(last)] = last + FIRST_ROW


def gate_by_age(world, days, content=True, learn=True):
    """Mean gate of each age bucket over the judged days, each scored before it is learnt from: float[8].

    Args:
      content: False deals the SIDs' first codes out at random too, so that they tell nothing.
      learn: False leaves the ranker as it starts.
    """
    from model.checkpoints import fresh_ranker
    from model.config import preset
    from model.learner import Learner
    from model.rankers.trunk import TableSizes
    from model.slices import buckets

    seed = world.config.seed
    codes = np.full([ITEMS + FIRST_ROW, NUM_LEVELS], -1, np.int32)
    codes[FIRST_ROW:] = np.random.default_rng(seed).integers(0, GROUPS, [ITEMS, NUM_LEVELS])
    if content:
        codes[FIRST_ROW:, 0] = world.cluster
    network, training = preset("gatesid", "practical")
    ranker = fresh_ranker(network, TableSizes(ITEMS + FIRST_ROW, USERS + FIRST_ROW), seed)
    training = replace(training, batch_size=128, labels=("clicked",))
    learner, ages, weights = Learner(ranker, ranker.optimiser(training), training), [], []
    for number, day in enumerate(days):
        if number >= len(days) - JUDGED:
            ages.append(day.features["item_stats"][:, 0])
            weights.append(learner.predict(day, codes)["semantic_weight"])
        if learn:
            learner.learn(day, codes, seed)
    age, weight = np.concatenate(ages), np.concatenate(weights)
    return np.array([weight[rows].mean() for rows in buckets("age", np.maximum(age, 0), AGE_EDGES).values()])


def spearman(by_age):
    from scipy.stats import spearmanr

    return spearmanr(np.arange(len(by_age)), by_age).statistic


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_gate_falls_with_an_items_age(seed):
    world = world_of(seed)
    by_age = gate_by_age(world, list(days_of(world)))
    assert spearman(by_age) <= -0.9, by_age
    assert by_age[0] - by_age[-1] > 0.1


def test_it_falls_by_learning_and_trusts_content_less_where_content_is_noise():
    world = world_of(1)
    days = list(days_of(world))
    assert spearman(gate_by_age(world, days, learn=False)) > 0  # as it starts it rises
    learnt, noise = gate_by_age(world, days), gate_by_age(world, days, content=False)
    assert noise[-1] < learnt[-1] - 0.03, (learnt, noise)
