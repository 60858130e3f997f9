"""The feature views. A row's event timestamp decides which row is newer: the tick of a maturity row, the moment a SID
was made live, the ingest time of a catalogue record, the version of a user's list. `ttl` is left out: Feast does not enforce it
online, so a reader judges a row's age by its timestamp.
"""

from feast import FeatureView, Field
from feast.types import Array, Int64, String

from features.names import (
    CLICK_7D,
    EXPOSURE_7D,
    VIEW_MATURITY,
    VIEW_PROFILE,
    VIEW_USER_HISTORY,
)
from features.repo import sources
from features.repo.entities import item, user
from features.sid_places import PLACES

item_maturity = FeatureView(
    name=VIEW_MATURITY, entities=[item], source=sources.maturity, description="counts of the trailing seven days",
    schema=[Field(name=EXPOSURE_7D, dtype=Int64, description="impressions"),
            Field(name=CLICK_7D, dtype=Int64, description="clicks")])

# Two places for SIDs, of two codebooks (features/sid_places.py).
item_semantic_id, item_semantic_id_b = (
    FeatureView(name=place.view, entities=[item], source=source, description="the item's SID in one codebook", schema=[
        Field(name=place.codes, dtype=Array(Int64), description="one code a level"), Field(name=place.codebook, dtype=String)])
    for place, source in zip(PLACES.values(), (sources.semantic_id, sources.semantic_id_b), strict=True))

item_profile = FeatureView(
    name=VIEW_PROFILE, entities=[item], source=sources.profile, description="what the catalogue says of the item",
    schema=[Field(name="published_at_ms", dtype=Int64, description="online_days counts from here"),
            Field(name="title", dtype=String)])

user_history = FeatureView(
    name=VIEW_USER_HISTORY, entities=[user], source=sources.user_history, description="the newest 500 takes, oldest first",
    schema=[Field(name="item_ids", dtype=Array(String)), Field(name="event_times_ms", dtype=Array(Int64))])
