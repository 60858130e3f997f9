"""Co-click pairs, the positives P+ of the content encoder (SaviorRec §3.2): items that one user took close together.

A take is a click or an order; two takes of one user belong together when their event times lie within a window (24 h,
which also holds a basket). A pair of day `ds` is one whose later-known take was ingested on `ds`, so that days add up and
a day's run touches no other day. Both orders are listed. A pair is listed on the days on which it has enough support and
lift over the trailing days: one sighting says nothing, and such pairs are nine of ten; and what bestsellers share with
everything says nothing of content.

    count      users who completed the pair on ds
    lift       how often it was taken by how often chance would have it, over the trailing days (pair_lift.py)
    last_seen  event time of the newest take of the pair

A naive self-join grows with the square of a user's takes; here each take meets at most `cap` takes, the newest that the
user is known for at that moment, so the work is at most takes * cap (pairs.py). Takes are brought together by user and
sightings by pair, once each and as numbers; what comes between is NumPy, a partition at a time.

    python -m spark_jobs.co_click --from 2026-08-24 --as-of 2026-11-22 --min-support 2 --min-lift 1
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from datetime import date, timedelta

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import DataError
from features.names import DS, EVENT_ID, ITEM_ID, TABLE_CO_CLICK_PAIRS, TABLE_EVENTS, USER_ID
from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import lake
from spark_jobs.event_log import EVENT_MS, HORIZON, INGEST_MS, NEEDED
from spark_jobs.pair_lift import PAIR, trailing_takers, trailing_user_days, with_lift
from spark_jobs.pair_support import LISTED_SCHEMA, listed_pairs
from spark_jobs.pairs import COUNTS, SIGHTING_SCHEMA, PairRules, sightings
from spark_jobs.run import Run, job_parser, run_job
from spark_jobs.user_history import takes

# Of one partition. A worker needs 400 MB where a take makes 7 pairs, 1 GB where every take meets the cap of 20.
TAKES_PER_TASK = 250_000
EPOCH = date(1970, 1, 1)


def numbered(takes: DataFrame) -> DataFrame:
    """Takes as numbers: a hash of 64 bits for each id, a third of the bytes to move and a tenth of the time to compare.

    Of 100 million users two share a number once in 3,700 catalogues, and would be one user; of items that is looked at.
    """
    return takes.select(
        F.xxhash64(USER_ID).alias("user"), F.xxhash64(ITEM_ID).alias("item"), F.xxhash64(EVENT_ID).alias("event_id"),
        F.unix_date(F.col(DS).cast("date")).alias("day"), EVENT_MS, INGEST_MS)


def item_numbers(takes: DataFrame, first: date) -> DataFrame:
    """(item, item_id, takes, takes_in_range), each number once. Raises DataError: two items have one number."""
    in_range = F.count_if(F.col(DS) >= first.isoformat())
    items = takes.groupBy(F.xxhash64(ITEM_ID).alias("item"), ITEM_ID).agg(
        F.count(F.lit(1)).alias("takes"), in_range.alias("takes_in_range")).persist()
    twins = items.groupBy("item").agg(F.collect_list(ITEM_ID).alias("ids")).where(F.size("ids") > 1).first()
    if twins is not None:
        raise DataError(f"items {' and '.join(twins.ids)} have the same 64-bit hash, so their pairs cannot be told apart: "
                        "give one of them another id")
    return items


def whole_partition(function: Callable[[pa.Table], pa.Table]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow, which hands over a partition in batches."""
    def batches(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        given = list(parts)
        if given:
            yield from function(pa.Table.from_batches(given)).to_batches(max_chunksize=100_000)
    return batches


def mined(takes: DataFrame, rules: PairRules, first: date, as_of: date, tasks: int) -> DataFrame:
    """Rows of LISTED_SCHEMA: the pairs of [first, as_of) that have support, item_a < item_b, and counts without a pair."""
    days = (first - EPOCH).days, (as_of - EPOCH).days
    seen = takes.repartition(tasks, "user").mapInArrow(
        whole_partition(lambda table: sightings(table, rules)), SIGHTING_SCHEMA)
    return seen.repartition(tasks, "item_a", "item_b").mapInArrow(
        whole_partition(lambda table: listed_pairs(table, rules, *days)), LISTED_SCHEMA)


def both_orders(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Rows of `co_click_pairs`: ids again, and each pair twice."""
    for side in PAIR:
        pairs = pairs.join(items.select(F.col("item").alias(side), F.col(ITEM_ID).alias(f"{side}_id")), side)
    orders = (F.struct(F.col(f"{one}_id").alias("item_a"), F.col(f"{other}_id").alias("item_b"))
              for one, other in (PAIR, PAIR[::-1]))
    last_seen, ds = F.timestamp_millis("seen_ms").alias("last_seen"), F.date_from_unix_date("day").cast("string").alias(DS)
    return pairs.select(F.inline(F.array(*orders)), "count", "lift", last_seen, ds)


def work(run: Run, arguments: argparse.Namespace) -> str:
    rules = rules_of(run.settings, arguments)
    # The first day's support reaches back, a pair's other take lies a window before, and what is late was known as long after.
    back = HORIZON + timedelta(days=rules.support_days - (-rules.window_hours // 24))
    known = takes(lake.between(run.read(TABLE_EVENTS, NEEDED), run.first - back, run.as_of))
    items = item_numbers(known, run.first)
    sums = items.agg(F.sum("takes"), F.sum("takes_in_range")).first()
    total, run.rows["in"] = (int(value or 0) for value in sums)
    tasks = max(run.settings.spark.shuffle_partitions, -(-total // TAKES_PER_TASK))
    in_numbers = numbered(known)
    listed = mined(in_numbers, rules, run.first, run.as_of, tasks).persist()
    supported = listed.where(F.col("item_a").isNotNull())
    takers = trailing_takers(supported, in_numbers, rules.support_days).persist()
    lifted = with_lift(supported, takers, trailing_user_days(in_numbers, rules.support_days))
    version = run.replace_days(both_orders(lifted.where(F.col("lift") >= rules.min_lift), items), TABLE_CO_CLICK_PAIRS)
    record_filters(run, listed)
    run.facts["rules"] = asdict(rules)
    run.log(f"{TABLE_CO_CLICK_PAIRS}@{version} | {run.facts['filters']}")
    for frame in (listed, items, takers):
        frame.unpersist()
    return f"{TABLE_CO_CLICK_PAIRS}@{version}"


def record_filters(run: Run, listed: DataFrame) -> None:
    """What each filter removed. Takes are compared on the days before `from` too, for the support."""
    counts = listed.where(F.col("item_a").isNull()).groupBy("item_b").agg(F.sum("seen_ms")).collect()
    filters = dict.fromkeys(COUNTS, 0) | {COUNTS[place]: int(count) for place, count in counts}
    kept = run.rows["out"] // 2
    supported = filters["pairs_of_days"] - filters["pairs_of_days_below_min_support"]
    run.facts["filters"] = filters | {
        "pairs_of_days_below_min_lift": supported - kept, "rows_kept_in_both_orders": run.rows["out"]}


def rules_of(settings: object, arguments: argparse.Namespace) -> PairRules:
    """[co_click] of the settings, and of this run what was given. Raises ConfigError: see PairRules."""
    given = {field.name: getattr(arguments, field.name, None) for field in fields(PairRules)}
    return PairRules(**asdict(settings.co_click) | {name: value for name, value in given.items() if value is not None})


def options() -> argparse.ArgumentParser:
    parser = job_parser("spark_jobs.co_click", __doc__)
    for field in fields(PairRules):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, help="(default: [co_click] of the settings)")
    return parser


def main(argv: list[str] | None = None) -> int:
    return run_job("co_click", work, options().parse_args(argv), load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
