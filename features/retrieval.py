"""The only door to Feast: online rows in and out, and the point-in-time join.

    store = OnlineFeatures(FeatureStoreConfig(home, "127.0.0.1:16379"))
    store.apply()                                              # once per deployment; again changes nothing
    store.push_maturity(["i42"], [1767225600000], [17], [3])
    rows = store.read_items(["i42", "i43"])                    # one batched read

A push is a frame of absolute values: it may be repeated, and a row that is not newer than the stored one changes nothing.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import ArtefactError, DataError, EnvironmentFault
from features.feast_config import FeatureStoreConfig, config_from, deploy_definitions, feast_environment, open_store
from features.layout import Layout
from features.live_codebook import live_codebook_in
from features.names import (
    CLICK_7D,
    EVENT_ID,
    EVENT_TIME,
    EXPOSURE_7D,
    ITEM_ID,
    TABLE_MATURITY_REBUILT,
    TICK,
    USER_ID,
    VIEW_MATURITY,
    VIEW_PROFILE,
    VIEW_USER_HISTORY,
)
from features.online_reader import Columns, OnlineReader, connect
from features.online_rows import ItemRows, UserTakes, item_rows, user_takes
from features.sid_places import PLACES, Place, claim_place
from features.snapshots import pin_snapshot
from features.windows import AVAILABILITY_DELAY_MS

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FeatureStoreConfig", "ItemRows", "OnlineFeatures", "UserTakes", "config_from", "feast_environment", "historical_maturity",
]
FRAME_ROWS = 5_000
PUSH_TIMEOUT_MS = 10_000


class OnlineFeatures:
    """Pushes and batched reads. One object a process, safe for threads: it keeps its connections and the definitions.

    Every call raises EnvironmentFault where the online store does not answer.
    """

    def __init__(self, config: FeatureStoreConfig) -> None:
        self.config = config

    @cached_property
    def store(self) -> Any:
        if not self.config.registry.is_file():
            raise ArtefactError(f"no Feast registry at {self.config.registry}: "
                                "run `python -m features.materialize --apply-only` first")
        return open_store(self.config, self.config.registry)

    @cached_property
    def items(self) -> OnlineReader:
        from features.repo.services import ranking_v1_items

        return OnlineReader(self.config, ranking_v1_items, ITEM_ID)

    @cached_property
    def users(self) -> OnlineReader:
        from features.repo.services import ranking_v1_user

        return OnlineReader(self.config, ranking_v1_user, USER_ID)

    def check(self) -> None:
        """Raises ArtefactError: there is no registry, or it lacks a view that is pushed to."""
        found = {view.name for view in self.store.list_feature_views()}
        missing = sorted({VIEW_MATURITY, VIEW_PROFILE, VIEW_USER_HISTORY, *(place.view for place in PLACES.values())} - found)
        if missing:
            raise ArtefactError(f"the Feast registry at {self.config.registry} lacks the views {', '.join(missing)}: "
                                "run `python -m features.materialize --apply-only`")

    @cached_property
    def claims(self) -> Any:
        """The client of pushes, which have more time than a request."""
        return connect(self.config, PUSH_TIMEOUT_MS)

    def apply(self) -> None:
        """Deploy the definitions of features/repo."""
        if deploy_definitions(self.config):
            self.__dict__.pop("store", None)

    def push_maturity(self, item_ids: Sequence[str], tick_ms: ArrayLike, exposure_7d: ArrayLike, click_7d: ArrayLike) -> None:
        """Counts as of their ticks; any order, any number of rows per item."""
        self._push(VIEW_MATURITY, ITEM_ID, item_ids, TICK, tick_ms, {EXPOSURE_7D: ints(exposure_7d), CLICK_7D: ints(click_7d)})

    def push_semantic_ids(self, item_ids: Sequence[str], codes: ArrayLike, codebook_version: str, at_ms: ArrayLike) -> None:
        """SIDs int[n, 4] of one codebook version; at_ms: when they became the ones to serve (a number or int64[n]).

        They go to the codebook's own place, so those of the live one stay as they are (features/sid_places.py).
        """
        if not len(item_ids):
            return
        rows, place = [list(map(int, row)) for row in np.asarray(codes)], self._place_of(codebook_version)
        self._push(place.view, ITEM_ID, item_ids, "assigned_at", at_ms,
                   {place.codes: rows, place.codebook: [codebook_version] * len(rows)})

    def _place_of(self, codebook_version: str) -> Place:
        from redis.exceptions import RedisError

        try:
            live = live_codebook_in(Layout(self.config.home).live_codebook_file)
            return claim_place(self.claims, codebook_version, live)
        except RedisError as fault:
            raise self._silent(fault) from fault

    def push_profiles(
        self, item_ids: Sequence[str], published_at_ms: ArrayLike, titles: Sequence[str | None], at_ms: ArrayLike,
        within_ms: ArrayLike = 0,
    ) -> None:
        """What the catalogue says; at_ms: the record's ingest time (a number or int64[n]); within_ms, below 1000: orders
        records of one item and millisecond that come in several pushes."""
        self._push(VIEW_PROFILE, ITEM_ID, item_ids, "ingest_time", at_ms,
                   {"published_at_ms": ints(published_at_ms), "title": [title or "" for title in titles]}, within_ms)

    def push_user_history(
        self, user_ids: Sequence[str], item_ids_lists: Sequence[Sequence[str]], event_times_ms_lists: Sequence[Sequence[int]],
        version_ms: ArrayLike,
    ) -> None:
        """Each user's newest takes, oldest first; version_ms (a number or int64[n]) only grows."""
        self._push(VIEW_USER_HISTORY, USER_ID, user_ids, "version", version_ms, {
            "item_ids": [list(map(str, items)) for items in item_ids_lists],
            "event_times_ms": [list(map(int, times)) for times in event_times_ms_lists]})

    def _push(
        self, view: str, key: str, keys: Sequence[str], time_column: str, time_ms: ArrayLike, columns: dict[str, Any],
        within_ms: ArrayLike = 0,
    ) -> None:
        """Frames with one row per key, its newest, ordered by time."""
        import pandas as pd
        from redis.exceptions import RedisError

        if not len(keys):
            return
        stamps = pd.to_datetime(np.broadcast_to(ints(time_ms) * 1000 + ints(within_ms), (len(keys),)), unit="us", utc=True)
        frame = pd.DataFrame({key: list(keys), time_column: stamps, **columns})
        frame = frame.sort_values(time_column, kind="stable").drop_duplicates(key, keep="last")
        try:
            for start in range(0, len(frame), FRAME_ROWS):
                self.store.push(f"{view}_push", frame.iloc[start:start + FRAME_ROWS])
        except RedisError as fault:
            raise self._silent(fault) from fault

    def read_items(self, item_ids: Sequence[str]) -> ItemRows:
        """Everything known of these items, in one read of the store."""
        return item_rows(item_ids, self._read(self.items, item_ids))

    def read_user(self, user_id: str) -> UserTakes:
        """What this user took, oldest first; empty for an unknown user."""
        return user_takes(self._read(self.users, [user_id]))

    def _read(self, reader: OnlineReader, keys: Sequence[str]) -> Columns:
        from redis.exceptions import RedisError

        try:
            return reader.read(keys)
        except RedisError as fault:
            raise self._silent(fault) from fault

    def _silent(self, fault: Exception) -> EnvironmentFault:
        return EnvironmentFault(f"the online store at {self.config.online_address} does not answer ({fault}): "
                                "start it (`gatesid up`) or set GATESID_VALKEY")


def ints(values: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(values, np.int64)


def historical_maturity(
    config: FeatureStoreConfig, entities: "pd.DataFrame", availability_delay_ms: int = AVAILABILITY_DELAY_MS,
    version: int | None = None,
) -> "pd.DataFrame":
    """What was known of each item's maturity at each moment: Feast's point-in-time join.

    Args:
      entities: columns event_id, item_id, event_time (timestamps in UTC); event_id unique.
      availability_delay_ms: the row of tick T counts as readable from T + delay on.
      version: of `item_maturity_rebuilt`; None pins the newest.
    Returns:
      event_id, item_id, event_time, exposure_7d, click_7d (Int64) and tick (timestamp): one row for each row in, in the order
      given, also where two share item and time; the last three are null where no row was readable.
    Raises:
      ArtefactError: no such table or version. DataError: the join lost or doubled a row.
    """
    import pandas as pd

    folder, version = pin_snapshot(Layout(config.home), TABLE_MATURITY_REBUILT, version)
    times = pd.to_datetime(entities[EVENT_TIME], utc=True).reset_index(drop=True)
    # The row of tick T is readable at t when T + delay <= t: the question moves, the rows stay as they are.
    asked = pd.DataFrame({
        EVENT_ID: entities[EVENT_ID].to_numpy(), ITEM_ID: entities[ITEM_ID].to_numpy(),
        "event_timestamp": times - pd.Timedelta(milliseconds=availability_delay_ms)})
    found = point_in_time(config, asked, folder, version).set_index(EVENT_ID)
    if len(found) != len(asked) or not found.index.is_unique:
        raise DataError(f"the point-in-time join was asked for {len(asked)} events and answered {found.index.nunique()} in "
                        f"{len(found)} rows: event_id must be unique and every row must be kept")
    found = found.reindex(asked[EVENT_ID]).reset_index()
    return found[[EVENT_ID, ITEM_ID]].assign(**{
        EVENT_TIME: times, EXPOSURE_7D: found[EXPOSURE_7D].astype("Int64"), CLICK_7D: found[CLICK_7D].astype("Int64"),
        TICK: pd.to_datetime(found[TICK], utc=True)})


def point_in_time(config: FeatureStoreConfig, asked: "pd.DataFrame", folder: Path, version: int) -> "pd.DataFrame":
    """Feast's answer, from one version of the table, with the tick itself as a feature."""
    from feast import FeatureService, FeatureView, Field
    from feast.types import UnixTimestamp

    from features.repo.entities import item
    from features.repo.views import item_maturity

    if asked.empty:
        return asked.assign(**{EXPOSURE_7D: 0, CLICK_7D: 0, TICK: asked["event_timestamp"]})
    view = FeatureView(name=VIEW_MATURITY, entities=[item], source=pinned_source(config, folder, version),
                       schema=[*item_maturity.features, Field(name=TICK, dtype=UnixTimestamp)])
    service = FeatureService(name="historical_maturity", features=[view])
    config.registry.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="pinned-", dir=config.registry.parent) as scratch:
        store = open_store(config, Path(scratch) / "registry.db")
        store.apply([item, view, service])
        return store.get_historical_features(asked, service).to_df()


def pinned_source(config: FeatureStoreConfig, folder: Path, version: int) -> Any:
    """The snapshot's files for DuckDB; the same version of the table itself for Spark, which reads Delta."""
    if config.offline_store == "spark":
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

        table = Layout(config.home).table(TABLE_MATURITY_REBUILT)
        query = f"SELECT * FROM delta.`{table}` VERSION AS OF {version}"
        return SparkSource(name="pinned_maturity", query=query, timestamp_field=TICK)
    from feast import FileSource
    from feast.data_format import ParquetFormat

    path = f"{folder}/**/*.parquet"
    return FileSource(name="pinned_maturity", path=path, file_format=ParquetFormat(), timestamp_field=TICK)
