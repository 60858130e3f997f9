"""How much more often than by chance a pair is taken: lift, over the same trailing days as its support."""

from pyspark.sql import DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

PAIR = ("item_a", "item_b")


def with_lift(listed: DataFrame, takers: DataFrame, user_days: DataFrame) -> DataFrame:
    """`listed` and `lift`: support * user-days / (user-days with a * user-days with b), all of the trailing days.

    A pair whose other take was known on an earlier day is of a user-day that did not take it, so one that made the pair is
    counted as having taken each.
    """
    joined = listed.join(F.broadcast(user_days), "day")
    for item in PAIR:
        joined = joined.join(takers.withColumnsRenamed({"item": item, "takers": f"takers_{item}"}), ["day", item])
    by_both = F.greatest("takers_item_a", "support") * F.greatest("takers_item_b", "support")
    return joined.withColumn("lift", F.col("support") * F.col("user_days") / by_both).select(*listed.columns, "lift")


def trailing_user_days(takes: DataFrame, support_days: int) -> DataFrame:
    """(day, user_days) of every day with a take."""
    daily = takes.groupBy("day").agg(F.countDistinct("user").alias("user_days"))
    return daily.withColumn("user_days", F.sum("user_days").over(trailing_days([F.lit(0)], support_days)))


def trailing_takers(listed: DataFrame, takes: DataFrame, support_days: int) -> DataFrame:
    """(day, item, takers) for each item of a listed pair on its day, on which nobody need have taken it."""
    wanted = listed.select("day", F.explode(F.array(*PAIR)).alias("item")).distinct().select(
        "*", F.lit(0).alias("takers"), F.lit(True).alias("wanted"))
    daily = takes.select("day", "item", "user").distinct().groupBy("day", "item").agg(
        F.count(F.lit(1)).alias("takers"), F.lit(False).alias("wanted"))
    either = daily.union(wanted).groupBy("day", "item").agg(F.sum("takers").alias("takers"), F.max("wanted").alias("wanted"))
    trailing = F.sum("takers").over(trailing_days(["item"], support_days))
    return either.withColumn("takers", trailing).where("wanted").drop("wanted")


def trailing_days(keys: list, support_days: int) -> WindowSpec:
    return Window.partitionBy(*keys).orderBy("day").rangeBetween(1 - support_days, 0)
