"""Co-click pairs, the positives P+ of the content encoder (SaviorRec §3.2): items that one user took close together.

A take is a click or an order; two takes of one user belong together when their event times lie within a window (24 h,
which also holds a basket). A pair of day `ds` is one whose later-known take was ingested on `ds`, so that days add up and
a day's run touches no other day. Both orders are listed. A pair is listed on the days on which it has enough support:
one sighting says nothing, and such pairs are nine of ten.

    count      users who completed the pair on ds
    lift       count * users / (users who took a * users who took b), all of ds: above 1 = more often than by chance
    last_seen  event time of the newest take of the pair

A naive self-join grows with the square of a user's takes; here each take meets at most `cap` takes, the newest that the
user is known for at that moment, so the work is at most takes * cap (pairs.py).

    python -m spark_jobs.co_click --from 2026-08-24 --as-of 2026-11-22 --window-hours 24 --cap 20 --min-support 2
"""

import argparse
import sys
from dataclasses import asdict
from datetime import timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.names import DS, ITEM_ID, TABLE_CO_CLICK_PAIRS, TABLE_EVENTS, USER_ID
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import lake
from spark_jobs.event_log import HORIZON, NEEDED
from spark_jobs.pairs import COUNTS, PAIR_SCHEMA, PairRules, bucket_pairs
from spark_jobs.run import Run, job_parser, run_job
from spark_jobs.user_history import BUCKETS_PER_TASK, takes

PAIR = ("item_a", "item_b")


def user_pairs(takes: DataFrame, rules: PairRules, buckets: int = 8) -> DataFrame:
    """Pairs by day and bucket of users, item_a < item_b; and for each bucket a row of counts without a pair."""
    bucket = F.pmod(F.xxhash64(USER_ID), F.lit(buckets))
    return takes.withColumn("bucket", bucket).groupBy("bucket").applyInArrow(bucket_pairs(rules), PAIR_SCHEMA)


def day_pairs(pairs: DataFrame, rules: PairRules) -> DataFrame:
    """Users, newest sighting and support of each pair on each day; support: user-days of the trailing `support_days`."""
    # Brought together by pair once, for the days' counts and for the window over days alike.
    counted = pairs.where(F.col("item_a").isNotNull()).repartition(*PAIR).groupBy(DS, *PAIR).agg(
        F.sum("users").alias("count"), F.max("seen_ms").alias("seen_ms"))
    day = F.unix_date(F.col(DS).cast("date"))
    trailing = Window.partitionBy(*PAIR).orderBy(day).rangeBetween(1 - rules.support_days, 0)
    return counted.withColumn("support", F.sum("count").over(trailing))


def of_pairs_in_range(found: DataFrame, run: Run, rules: PairRules) -> DataFrame:
    """The sightings that bear on the pairs of the run's days: for a night, few of the weeks that support reaches back."""
    if (run.as_of - run.first).days >= rules.support_days:
        return found  # nearly all of them
    in_range = lake.between(found, run.first, run.as_of).where(F.col("item_a").isNotNull()).select(*PAIR).distinct()
    return found.join(in_range, list(PAIR), "left_semi")


def with_lift(pairs: DataFrame, takes: DataFrame) -> DataFrame:
    """Rows of `co_click_pairs`, one order. A pair whose other take is of an earlier day may have no taker on ds: then 1."""
    day_takes = takes.select(DS, USER_ID, ITEM_ID).distinct()
    takers = day_takes.groupBy(DS, ITEM_ID).agg(F.count(F.lit(1)).alias("takers"))
    users = day_takes.groupBy(DS).agg(F.countDistinct(USER_ID).alias("users"))
    a = takers.select(DS, F.col(ITEM_ID).alias("item_a"), F.col("takers").alias("takers_a"))
    b = takers.select(DS, F.col(ITEM_ID).alias("item_b"), F.col("takers").alias("takers_b"))
    joined = pairs.join(a, [DS, "item_a"], "left").join(b, [DS, "item_b"], "left").join(F.broadcast(users), DS)
    chance = F.coalesce("takers_a", F.lit(1)) * F.coalesce("takers_b", F.lit(1))
    return joined.select("item_a", "item_b", "count", (F.col("count") * F.col("users") / chance).alias("lift"),
                         F.timestamp_millis("seen_ms").alias("last_seen"), DS)


def both_orders(pairs: DataFrame) -> DataFrame:
    turned = F.struct(F.col("item_b").alias("item_a"), F.col("item_a").alias("item_b"))
    order = F.explode(F.array(F.struct("item_a", "item_b"), turned))
    return pairs.withColumn("pair", order).select("pair.item_a", "pair.item_b", "count", "lift", "last_seen", DS)


def work(run: Run, arguments: argparse.Namespace) -> str:
    rules = PairRules(arguments.window_hours, arguments.cap, arguments.min_support, arguments.support_days)
    # The first day's support reaches back, a pair's other take lies a window before, and what is late was known as long after.
    back = HORIZON + timedelta(days=rules.support_days - (-rules.window_hours // 24))
    known = takes(lake.between(run.read(TABLE_EVENTS, NEEDED), run.first - back, run.as_of))
    in_range = lake.between(known, run.first, run.as_of)
    found = user_pairs(known, rules, BUCKETS_PER_TASK * run.settings.spark.shuffle_partitions).persist()
    listed = lake.between(day_pairs(of_pairs_in_range(found, run, rules), rules), run.first, run.as_of).persist()
    supported = listed.where(F.col("support") >= rules.min_support)
    version = run.replace_days(both_orders(with_lift(supported, in_range)), TABLE_CO_CLICK_PAIRS)
    record_filters(run, found, in_range, listed.count())
    run.facts["rules"] = asdict(rules)
    run.log(f"{TABLE_CO_CLICK_PAIRS}@{version} | {run.facts['filters']}")
    listed.unpersist()
    found.unpersist()
    return f"{TABLE_CO_CLICK_PAIRS}@{version}"


def record_filters(run: Run, found: DataFrame, in_range: DataFrame, pairs_of_days: int) -> None:
    """What each filter removed. Takes are compared on the days before `from` too, for the support."""
    sums = found.where(F.col("item_a").isNull()).agg(*(F.sum(name).alias(name) for name in COUNTS)).first()
    pairs = lake.between(found, run.first, run.as_of).agg(F.sum("users")).first()[0] or 0
    run.rows["in"] = in_range.count()
    run.facts["filters"] = {name: int(sums[name] or 0) for name in COUNTS} | {
        "user_pairs_in_range": int(pairs), "pairs_of_days": pairs_of_days,
        "pairs_of_days_below_min_support": pairs_of_days - run.rows["out"] // 2, "rows_kept_in_both_orders": run.rows["out"]}


def options() -> argparse.ArgumentParser:
    parser = job_parser("spark_jobs.co_click", __doc__)
    rules = PairRules()
    parser.add_argument("--window-hours", type=int, default=rules.window_hours, help="between two takes (default: %(default)s)")
    parser.add_argument("--cap", type=int, default=rules.cap, help="earlier takes that a take meets (default: %(default)s)")
    parser.add_argument("--min-support", type=int, default=rules.min_support,
                        help="user-days of the trailing --support-days with the pair (default: %(default)s)")
    parser.add_argument("--support-days", type=int, default=rules.support_days, help="(default: %(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    return run_job("co_click", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
