"""The table `served_features`: what one ranking request gave its model, and which rows of the store that came from.

One row a request; what belongs to candidates stands in lists of one length, in the order asked. The numbers are those of the
model's tensors, after every default. Serving appends it, the audit compares it with the lake, `training_frame` takes its rows
from it.
"""

from typing import TYPE_CHECKING

from features.names import CLICK_7D, CODEBOOK_VERSION, DS, EXPOSURE_7D, ONLINE_DAYS, REQUEST_ID, USER_ID

if TYPE_CHECKING:
    import pyarrow as pa

SERVED_AT = "served_at"
AT = "at"

# What stands in lists, one entry a candidate.
ITEM_IDS = "item_ids"
ITEM_CODES = "item_codes"
TICKS_MS = "maturity_tick_ms"
REPEAT_COUNT, REPEAT_AGE_DAYS = "repeat_count", "repeat_age_days"
DEFAULTS = "defaults"
PER_CANDIDATE = (ITEM_IDS, ITEM_CODES, ONLINE_DAYS, EXPOSURE_7D, CLICK_7D, TICKS_MS, REPEAT_COUNT, REPEAT_AGE_DAYS, DEFAULTS)


def served_schema() -> "pa.Schema":
    """Of the table, partitioned by `ds`, the UTC day of served_at."""
    import pyarrow as pa

    time, text, number, real = pa.timestamp("us", tz="UTC"), pa.string(), pa.int64(), pa.float32()
    codes = pa.list_(pa.list_(pa.int32()))
    return pa.schema([
        pa.field(REQUEST_ID, text, False), pa.field(USER_ID, text, False),
        pa.field(SERVED_AT, time, False),  # when the store was read, by the server's clock
        pa.field(AT, time, False),  # the moment the request asked about: takes are cut to it, ages counted to it
        pa.field("ranker", text, False), pa.field("model_version", number, False),
        pa.field(CODEBOOK_VERSION, text),  # the model's; null: it reads no SIDs
        pa.field("contract_hash", text, False),
        pa.field("degraded", text, False),  # "" or what was down
        pa.field("history_version_ms", number, False),  # of the user's row in the store; -1: there was none
        pa.field("taken_item_ids", pa.list_(text), False), pa.field("taken_at_ms", pa.list_(number), False),  # oldest first
        pa.field("history_item_ids", pa.list_(text), False), pa.field("history_codes", codes, False),  # newest first
        pa.field(ITEM_IDS, pa.list_(text), False), pa.field(ITEM_CODES, codes, False),
        pa.field(ONLINE_DAYS, pa.list_(real), False), pa.field(EXPOSURE_7D, pa.list_(real), False),
        pa.field(CLICK_7D, pa.list_(real), False),
        pa.field(TICKS_MS, pa.list_(number), False),  # of the row that the counts came from; -1: there was none
        pa.field(REPEAT_COUNT, pa.list_(real), False), pa.field(REPEAT_AGE_DAYS, pa.list_(real), False),
        pa.field(DEFAULTS, pa.list_(text), False),  # names of the defaults taken, with commas between
        pa.field(DS, text, False)])
