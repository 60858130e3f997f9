"""KuaiRand: a short-video feed's real impressions, with `is_click` (a valid play) as click and `long_view` as order.

From a path, in either form: the project's slice (impressions.parquet, items.parquet) or the release's own files
(log_standard_*.csv, video_features_basic_*.csv). Each impression is a request of its own. A long view without a click
is no order (CTCVR = click and order, R22): it is left out and counted. Items have no text; their attributes are tags,
author, kinds of video, upload and music, and a length class. Columns that sum up the whole month would leak the future
and are not read.
"""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from features.artefacts import sha256
from features.clock import MS_PER_DAY, Clock
from features.errors import DataError, SchemaError
from features.events import CLICK, IMPRESSION, ORDER
from features.layout import Layout
from infra.datasets.catalogue import attributes_text
from infra.datasets.prepared import EVENTS, ITEMS, EventFiles, publish, write_items
from infra.datasets.timeline import MS_PER_WEEK, day_number, weeks_until, yesterday

NAME = "kuairand"
LOG = ("user_id", "item_id", "ms", "is_click", "long_view", "tab", "play_time_ms")
VIDEO = ("item_id", "tag_ids", "published_ms", "author_id", "video_type", "upload_type", "video_duration_ms", "music_id",
         "music_type")
LOG_TYPES = {"user_id": "int64", "video_id": "int64", "time_ms": "int64", "is_click": "int8", "long_view": "int8",
             "tab": "int32", "play_time_ms": "int64"}
VIDEO_TYPES = {"video_id": "int64", "author_id": "string", "video_type": "string", "upload_dt": "string",
               "upload_type": "string", "video_duration": "float64", "music_id": "string", "music_type": "float64",
               "tag": "string"}
CHINA_MS = 8 * 3_600_000  # the release gives upload days in China's time
CLICK_AFTER_MS, ORDER_AFTER_MS = 1_000, 2_000
LENGTH_EDGES_S = (15, 30, 60, 120, 240, 480)
PROVENANCE = {
    "source": "KuaiRand (Gao et al., CIKM 2022), standard log",
    "licence": "CC BY-SA 4.0: attribution, and what is made of it stays under it",
    "about": "logged impressions; click = valid play, order = long view; responses are dated 1 s and 2 s after it",
}


def prepare(layout: Layout, clock: Clock, *, path: Path, prior_watches: bool = False,
            keep_dates: bool = False) -> tuple[Path, bool]:
    """Make data/kuairand. Raises SchemaError: the files or columns expected at `path` are not there."""
    files = find_files(path, prior_watches)
    made_from = {"sources": {file.name: sha256(file) for file in files}, "prior_watches": prior_watches,
                 "keep_dates": keep_dates, "last_day": yesterday(clock)}
    anchor = None if keep_dates else yesterday(clock)
    return publish(layout, NAME, made_from, lambda draft: fill(draft, path, files, prior_watches, anchor))


def find_files(path: Path, prior_watches: bool) -> list[Path]:
    """The files to read. Raises SchemaError: which are missing."""
    if (path / "impressions.parquet").is_file():
        names = ["impressions.parquet", "items.parquet", *(["prior_watches.parquet"] if prior_watches else [])]
        wanted = [path / name for name in names]
        if missing := [file.name for file in wanted if not file.is_file()]:
            raise SchemaError(f"{path} lacks {', '.join(missing)} beside impressions.parquet")
        return wanted
    found = [sorted([*path.glob(pattern), *path.glob(f"data/{pattern}")])
             for pattern in ("log_standard_*.csv", "video_features_basic*.csv")]
    if not all(found):
        raise SchemaError(f"expected impressions.parquet and items.parquet, or log_standard_*.csv and "
                          f"video_features_basic*.csv (also in data/), at {path}: give the folder of KuaiRand with --path")
    if prior_watches:
        raise SchemaError("--prior-watches needs prior_watches.parquet, which the release does not have: leave it out")
    return found[0] + found[1]


def fill(draft: Path, path: Path, files: list[Path], prior_watches: bool, anchor: date | None) -> dict[str, Any]:
    log, videos = read_slice(path) if files[0].suffix == ".parquet" else read_release(files)
    rejected: Counter[str] = Counter()
    repeated = log.duplicated()
    rejected["repeats a row in every column"] = int(repeated.sum())
    log = log[~repeated].sort_values(["ms", "user_id", "item_id"], kind="stable").reset_index(drop=True)
    last = int(log.ms.max() // MS_PER_DAY)
    shift_weeks = 0
    if anchor is not None:
        # The log ends within its last UTC day, so the day before is the last whole one.
        last_whole = date(1970, 1, 1) + timedelta(days=last - 1)
        shift_weeks = weeks_until(last_whole, anchor)
        last = day_number(anchor) - shift_weeks * 7
        rejected["after the last day"] = int((log.ms // MS_PER_DAY > last).sum())
        log = log[log.ms // MS_PER_DAY <= last]
    shift_ms = shift_weeks * MS_PER_WEEK
    contradiction = (log.long_view == 1) & (log.is_click == 0)
    rejected["long view without a click: the order is left out, the impression kept"] = int(contradiction.sum())
    events = [events_of(log, shift_ms, shift_weeks)]
    if prior_watches:
        events.append(prior_clicks(pq.read_table(path / "prior_watches.parquet").to_pandas(), int(log.ms.min()), shift_ms))
    whole = pa.concat_tables(events)
    order = np.argsort(whole["ingest_time_ms"].to_numpy(), kind="stable")
    writer = EventFiles(draft)
    writer.write(whole.take(order))
    writer.close()
    shown_first = log.groupby("item_id").ms.min()
    early = int((videos.item_id.map(shown_first) < videos.published_ms).sum())
    return {
        "labels": ["clicked", "ordered"], **writer.summary(), "items": write_items(draft, catalogue_of(videos, shift_ms)),
        "negatives": 0, "seed": None, "rejected": dict(rejected),
        "warnings": {"item without text": len(videos), "item shown before its upload day": early,
                     "prior watch written as a click without impression": sum(table.num_rows for table in events[1:])},
        "shift_weeks": shift_weeks, "sources": {file.name: sha256(file) for file in files}, "provenance": PROVENANCE,
    }


def read_slice(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    log = read_columns(path / "impressions.parquet", [name if name != "ms" else "ts" for name in LOG])
    videos = read_columns(path / "items.parquet", [name if name != "published_ms" else "publish_ts" for name in VIDEO])
    return (log.assign(ms=log.ts * 1000).drop(columns="ts"),
            videos.assign(published_ms=videos.publish_ts * 1000).drop(columns="publish_ts"))


def read_columns(file: Path, wanted: list[str]) -> pd.DataFrame:
    if missing := [name for name in wanted if name not in pq.read_schema(file).names]:
        raise SchemaError(f"{file} lacks the columns {', '.join(missing)}: is it KuaiRand's slice?")
    return pq.read_table(file, columns=wanted).to_pandas()


def read_release(files: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The release's CSV files: `time_ms` is kept to the millisecond, `upload_dt` is a day in China."""
    logs = pd.concat([read_csv(file, LOG_TYPES) for file in files if file.name.startswith("log_")])
    log = logs.rename(columns={"time_ms": "ms", "video_id": "item_id"}).astype({"user_id": str, "item_id": str})
    videos = pd.concat([read_csv(file, VIDEO_TYPES) for file in files if file.name.startswith("video_")])
    uploaded = pd.to_datetime(videos.upload_dt, errors="coerce", utc=True)
    if uploaded.isna().all():
        raise DataError(f"no upload_dt of {files[-1].name} can be read as a day, e.g. {videos.upload_dt.iloc[0]!r}")
    ms = uploaded.fillna(uploaded.min()).dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64) - CHINA_MS
    return log, videos.assign(published_ms=ms).rename(
        columns={"video_id": "item_id", "tag": "tag_ids", "video_duration": "video_duration_ms"}).astype({"item_id": str})


def read_csv(file: Path, types: dict[str, str]) -> pd.DataFrame:
    """Raises SchemaError: a column is missing or of another type."""
    try:
        return csv.read_csv(file, convert_options=csv.ConvertOptions(
            include_columns=list(types), column_types={name: pa.type_for_alias(kind) for name, kind in types.items()},
            strings_can_be_null=True)).to_pandas()
    except (pa.ArrowInvalid, KeyError) as fault:
        raise SchemaError(f"{file} is not as KuaiRand releases it: {fault}") from None


def events_of(log: pd.DataFrame, shift_ms: int, weeks: int) -> pa.Table:
    """Impressions in time order, then clicks, then orders. Ids hold the shift: at another date it is another event."""
    row, clicked = np.arange(len(log)), (log.is_click == 1).to_numpy()
    ordered = clicked & (log.long_view == 1).to_numpy()
    at = np.concatenate([row, row[clicked], row[ordered]])
    counts = (len(row), int(clicked.sum()), int(ordered.sum()))
    kind = np.repeat([IMPRESSION, CLICK, ORDER], counts)
    time_ms = log.ms.to_numpy()[at] + shift_ms + np.repeat([0, CLICK_AFTER_MS, ORDER_AFTER_MS], counts)
    # A response stays on its impression's day, or the last day would lose labels.
    time_ms = np.minimum(time_ms, (log.ms.to_numpy()[at] + shift_ms) // MS_PER_DAY * MS_PER_DAY + MS_PER_DAY - 1)
    request = pc.binary_join_element_wise(f"kr{weeks}", pa.array(row).cast(pa.string()), "-").take(at)
    suffix = pa.array(np.repeat(["i", "c", "o"], counts))
    context = pa.array([f'{{"tab": "{tab}"}}' for tab in log.tab.to_numpy()]).take(at)
    return pa.Table.from_arrays([
        pc.binary_join_element_wise(request, suffix, "-"), pa.array(kind), pa.array(log.user_id, pa.string()).take(at),
        pa.array(log.item_id, pa.string()).take(at), pa.array(time_ms), pa.array(time_ms), request, context], schema=EVENTS)


def prior_clicks(watched: pd.DataFrame, before_ms: int, shift_ms: int) -> pa.Table:
    """What users watched before the slice, as clicks a second apart that end at `last_time_ms`: only their order is known."""
    lengths = watched.prior_watches.map(len).to_numpy()
    user = np.repeat(np.arange(len(watched)), lengths)
    place = np.arange(len(user)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ms = np.minimum(watched.last_time_ms.to_numpy(), before_ms - 1)[user] - (lengths[user] - 1 - place) * 1000 + shift_ms
    users = pa.array(watched.user_id, pa.string()).take(user)
    ids = pc.binary_join_element_wise("prior", users, pa.array(place).cast(pa.string()), str(shift_ms // MS_PER_WEEK), "-")
    items = pa.array(np.concatenate(watched.prior_watches.to_numpy()), pa.string())
    return pa.Table.from_arrays([
        ids, pa.array([CLICK] * len(user)), users, items, pa.array(ms), pa.array(ms), pa.nulls(len(user), pa.string()),
        pa.array(['{"prior": "true"}'] * len(user))], schema=EVENTS)


def catalogue_of(videos: pd.DataFrame, shift_ms: int) -> pa.Table:
    def whole(column: pd.Series) -> pd.Series:
        return column.astype("Int64").astype("string")

    seconds = videos.video_duration_ms.to_numpy(float) / 1000
    edges = [f"under {edge} s" for edge in LENGTH_EDGES_S] + [f"{LENGTH_EDGES_S[-1]} s and more"]
    classes = np.array(edges, object)[np.searchsorted(LENGTH_EDGES_S, np.nan_to_num(seconds), "right")]
    length = np.where(np.isnan(seconds), None, classes)
    tags = videos.tag_ids.astype("string")
    attributes = attributes_text(pd.DataFrame({
        "tag": tags.str.split(",").str[0], "tags": tags, "author_id": videos.author_id.astype("string"),
        "video_type": videos.video_type, "upload_type": videos.upload_type, "music_id": videos.music_id.astype("string"),
        "music_type": whole(videos.music_type), "length": length}))
    return pa.Table.from_arrays([
        pa.array(videos.item_id, pa.string()), pa.nulls(len(videos), pa.string()), attributes,
        pa.array(videos.published_ms.to_numpy(np.int64) + shift_ms), pa.nulls(len(videos), ITEMS.field("vector").type)],
        schema=ITEMS)
