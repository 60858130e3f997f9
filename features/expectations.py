"""What an artefact must satisfy before anything downstream may read it: one Great Expectations suite each.

    outcome = run(events_suite(), events_view(frame), docs_dir)   # outcome.ok, outcome.failures; Data Docs under docs_dir

Rules over several columns or over lists are columns of their own (`expectation_columns.py`), so that each suite is a
list of plain expectations and reads like one. Every row is checked; nothing is sampled. Great Expectations takes
seconds to import: it is imported by the functions that need it.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from features.catalogue import MAX_TITLE_LENGTH
from features.events import EVENT_TYPES, MAX_ID_LENGTH
from features.spec import CODEBOOK_SIZE, HISTORY_LENGTH, MISSING_CODE, NUM_LEVELS, OOV_ROW
from features.windows import AVAILABILITY_DELAY_MS, MAX_FUTURE_MS

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 5
RUNS_KEPT = 30
ID_COLUMNS = {
    "events": ["event_id", "user_id", "item_id"], "items": ["item_id"], "semantic_ids": ["item_id"],
    "training_frame": ["event_id", "user_id", "item_id"], "training_rows": ["user_id", "ds"],
}


class Failure(NamedTuple):
    """One expectation that does not hold, where, and rows that show it."""

    expectation: str
    column: str
    observed: str
    samples: list[dict[str, Any]]

    def __str__(self) -> str:
        rows = "; ".join(str(sample) for sample in self.samples) or "none to show"
        return f"{self.expectation} on {self.column}: {self.observed}; rows: {rows}"


@dataclass
class Outcome:
    ok: bool
    failures: list[Failure] = field(default_factory=list)
    expectations: int = 0
    docs: Path | None = None


def events_suite() -> Any:
    """Events of some days (rows of `events` through `events_view`)."""
    gxe = expectation_types()
    required = ("event_id", "event_type", "user_id", "item_id", "event_time", "ingest_time", "source", "partition", "offset")
    return suite("events", [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in required),
        gxe.ExpectColumnValuesToBeInSet(column="event_type", value_set=list(EVENT_TYPES)),
        gxe.ExpectColumnValuesToBeInSet(column="source", value_set=["kafka", "history"]),
        *(gxe.ExpectColumnValuesToBeBetween(column=f"{column}_length", min_value=1, max_value=MAX_ID_LENGTH)
          for column in ("event_id", "user_id", "item_id")),
        gxe.ExpectColumnValuesToBeBetween(column="seconds_ahead", max_value=MAX_FUTURE_MS / 1000),
        gxe.ExpectColumnValuesToBeInSet(column="ds_is_day_of_ingest", value_set=[True]),
        # Where a record stood is unique: each is in the lake exactly once. A producer may repeat an event_id (R27).
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["ds", "source", "partition", "offset"]),
        gxe.ExpectColumnValuesToBeUnique(column="event_id", mostly=0.9),
        gxe.ExpectColumnMeanToBeBetween(column="is_impression", min_value=0.01),
    ])


def items_suite() -> Any:
    """The catalogue as of a moment: one row an item (rows of `items` through `items_view`)."""
    gxe = expectation_types()
    return suite("items", [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in ("item_id", "published_at", "ingest_time")),
        gxe.ExpectColumnValuesToBeUnique(column="item_id"),
        gxe.ExpectColumnValuesToBeBetween(column="item_id_length", min_value=1, max_value=MAX_ID_LENGTH),
        gxe.ExpectColumnValuesToBeBetween(column="title_length", max_value=MAX_TITLE_LENGTH),
        gxe.ExpectColumnValuesToBeInSet(column="attributes_fit", value_set=[True]),
        gxe.ExpectColumnValuesToBeInSet(column="vector_fits", value_set=[True]),
        gxe.ExpectColumnMeanToBeBetween(column="has_content", min_value=0.5),
    ])


def semantic_ids_suite(codebook_version: str | None = None) -> Any:
    """Every SID of one codebook version (rows of `semantic_ids` through `semantic_ids_view`)."""
    gxe = expectation_types()
    one_version = gxe.ExpectColumnValuesToBeInSet(column="codebook_version", value_set=[codebook_version])
    return suite("semantic_ids", [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in ("item_id", "assigned_at", "codebook_version")),
        gxe.ExpectColumnValuesToBeUnique(column="item_id"),
        *([one_version] if codebook_version else []),
        gxe.ExpectColumnValuesToBeBetween(column="codes_length", min_value=NUM_LEVELS, max_value=NUM_LEVELS),
        gxe.ExpectColumnValuesToBeBetween(column="smallest_code", min_value=MISSING_CODE),
        gxe.ExpectColumnValuesToBeBetween(column="largest_code", max_value=CODEBOOK_SIZE - 1),
        gxe.ExpectColumnValuesToBeInSet(column="all_codes_or_none", value_set=[True]),
        gxe.ExpectColumnMeanToBeBetween(column="has_sid", min_value=0.5),
    ])


def training_frame_suite() -> Any:
    """Training rows of some days (rows of `training_frame` through `training_frame_view`)."""
    gxe = expectation_types()

    def between(column: str, low: float | None, high: float | None = None) -> Any:
        return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)

    filled = ("event_id", "user_id", "item_id", "event_time", "clicked", "ordered", "user_row", "item_row", "online_days",
              "exposure_7d", "click_7d", "repeat_count", "repeat_age_days")
    return suite("training_frame", [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in filled),
        gxe.ExpectColumnValuesToBeUnique(column="event_id"),
        gxe.ExpectColumnValuesToBeInSet(column="is_known_impression", value_set=[True]),
        gxe.ExpectColumnValuesToBeInSet(column="clicked", value_set=[0, 1]),
        gxe.ExpectColumnValuesToBeInSet(column="ordered", value_set=[0, 1]),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="clicked", column_B="ordered", or_equal=True),
        gxe.ExpectColumnMeanToBeBetween(column="clicked", min_value=0.0001, max_value=0.95),
        between("user_row", OOV_ROW), between("item_row", OOV_ROW), between("hour_of_day", 0, 23), between("day_of_week", 0, 6),
        between("history_length", 0, HISTORY_LENGTH), between("smallest_history_row", 0),
        between("online_days", -1), between("exposure_7d", 0), between("click_7d", 0),
        between("seconds_since_tick", AVAILABILITY_DELAY_MS / 1000),
        between("repeat_count", 0), between("repeat_age_days", -1),
        gxe.ExpectColumnValuesToBeInSet(column="repeat_fits", value_set=[True]),
        gxe.ExpectColumnValuesToBeInSet(column="hour_fits", value_set=[True]),
    ])


def training_rows_suite() -> Any:
    """Rows in = rows out: per user and day that the frame has, `rows` against the `impressions` of the log."""
    gxe = expectation_types()
    return suite("training_rows", [gxe.ExpectColumnPairValuesToBeEqual(column_A="rows", column_B="impressions")])


def run(checked: Any, frame: "pd.DataFrame", docs_dir: Path, run_name: str = "run") -> Outcome:
    """Validate every row of the frame and write the page of it.

    Args:
      checked: a suite of this module; `frame` has its columns (see the view of the same name).
      docs_dir: a folder for this suite alone; its page is <docs_dir>/gx/uncommitted/data_docs/local_site/index.html.
    """
    gx = great_expectations()
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.base import ProgressBarsConfig

    docs_dir.mkdir(parents=True, exist_ok=True)
    forget_old_runs(docs_dir)
    context = gx.get_context(mode="file", project_root_dir=str(docs_dir))
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = context.data_sources.add_or_update_pandas("frames").add_dataframe_asset(checked.name)
    definition = context.validation_definitions.add_or_update(gx.ValidationDefinition(
        name=checked.name, suite=context.suites.add_or_update(checked),
        data=batch.add_batch_definition_whole_dataframe("rows")))
    checkpoint = context.checkpoints.add_or_update(gx.Checkpoint(
        name=checked.name, validation_definitions=[definition], actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": SAMPLE_ROWS,
                       "unexpected_index_column_names": [c for c in ID_COLUMNS[checked.name] if c in frame.columns]}))
    done = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name=run_name))
    results = next(iter(done.run_results.values())).results
    failures = [as_failure(result) for result in results if not result.success]
    page = docs_dir / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"
    return Outcome(not failures, failures, len(results), page)


def as_failure(result: Any) -> Failure:
    asked, found = result.expectation_config.kwargs, result.result
    columns = [asked[name] for name in ("column", "column_A", "column_B") if name in asked] or asked.get("column_list", [])
    bounds = {name: asked[name] for name in ("min_value", "max_value", "value_set", "mostly") if asked.get(name) is not None}
    if raised := (result.exception_info or {}).get("exception_message"):
        observed = f"could not be computed ({raised})"
    elif "unexpected_count" in found:
        observed = f"{found['unexpected_count']:,} of {found['element_count']:,} rows do not fit"
    else:
        observed = f"observed {found.get('observed_value')}"
    expected = f", expected {bounds}" if bounds else ""
    return Failure(result.expectation_config.type, ", ".join(columns) or "the whole table", observed + expected,
                   [dict(row) for row in found.get("partial_unexpected_index_list") or []][:SAMPLE_ROWS])


def forget_old_runs(docs_dir: Path) -> None:
    """The index page is rebuilt from every run kept, so the oldest go."""
    for root in (docs_dir / "gx/uncommitted/validations", docs_dir / "gx/uncommitted/data_docs/local_site/validations"):
        runs = sorted((folder for folder in root.glob("*/*/*") if folder.is_dir()), key=lambda folder: folder.name)
        for folder in runs[:-RUNS_KEPT]:
            shutil.rmtree(folder, ignore_errors=True)


def great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations


def expectation_types() -> Any:
    return great_expectations().expectations


def suite(name: str, expectations: list[Any]) -> Any:
    return great_expectations().ExpectationSuite(name=name, expectations=expectations)
