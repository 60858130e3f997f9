"""On which days a pair has enough support: user-days with it among the trailing days. Vectorised in NumPy."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.pairs import PairRules, with_counts

LISTED = pa.schema([("day", pa.int32()), ("item_a", pa.int64()), ("item_b", pa.int64()), ("count", pa.int64()),
                    ("support", pa.int64()), ("seen_ms", pa.int64())])
LISTED_SCHEMA = "day int, item_a long, item_b long, count long, support long, seen_ms long"


def listed_pairs(sightings: pa.Table, rules: PairRules, first_day: int, end_day: int) -> pa.Table:
    """The pairs of the days [first_day, end_day) that have support, as rows of LISTED, and counts of what was removed.

    Args:
      sightings: rows of SIGHTING, all of a pair, from `support_days` - 1 before first_day on; counts pass through.
    """
    counted = pc.is_null(sightings["item_a"])
    pairs = sightings.filter(pc.invert(counted))
    days = pairs.group_by(["item_a", "item_b", "day"], use_threads=False).aggregate([([], "count_all"), ("seen_ms", "max")])
    days = days.rename_columns({"count_all": "count", "seen_ms_max": "seen_ms"}).sort_by(
        [(name, "ascending") for name in ("item_a", "item_b", "day")])
    days = days.append_column("support", pa.array(trailing_support(days, rules.support_days)))
    of_range = days.filter(pc.and_(pc.greater_equal(days["day"], first_day), pc.less(days["day"], end_day)))
    kept = of_range.filter(pc.greater_equal(of_range["support"], rules.min_support))
    listed = with_counts(kept.select(LISTED.names), LISTED, {
        "user_pairs_in_range": pc.sum(of_range["count"]).as_py() or 0, "pairs_of_days": len(of_range),
        "pairs_of_days_below_min_support": len(of_range) - len(kept)})
    return pa.concat_tables([listed, sightings.filter(counted)], promote_options="default").select(LISTED.names)


def trailing_support(days: pa.Table, support_days: int) -> np.ndarray:
    """int64[rows]: `count` summed over the pair's rows of the trailing days. Rows ordered by pair and day."""
    a, b, day, count = (days[name].to_numpy() for name in ("item_a", "item_b", "day", "count"))
    pair = np.cumsum(np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])][:len(a)])
    moment = pair * 2**32 + day  # pairs far apart, so that a search for days never leaves its pair
    before = np.r_[0, np.cumsum(count)]
    return before[1:] - before[np.searchsorted(moment, moment - support_days, side="right")]
