"""Joins the small files that a day of appends leaves in `served_features`: the same rows in few files.

    python -m features.compact_served --as-of 2026-11-22           the day before

Beside writers and readers; run again, it finds nothing to do. Files that were replaced more than a week ago are deleted.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import date, timedelta

from features.clock import days_between, parse_as_of
from features.errors import exit_code
from features.layout import Layout, table_version
from features.names import DS, TABLE_SERVED_FEATURES

KEPT_HOURS = 7 * 24


def compact_served(layout: Layout, first: date, as_of: date) -> tuple[int, int]:
    """(files before, files after) of the days [first, as_of). Raises ArtefactError: there is no table."""
    from deltalake import DeltaTable

    path = layout.table(TABLE_SERVED_FEATURES)
    table_version(path)
    table = DeltaTable(str(path))
    done = table.optimize.compact(partition_filters=[(DS, "in", days_between(first, as_of))])
    table.vacuum(KEPT_HOURS, dry_run=False)
    return done["numFilesRemoved"], done["numFilesAdded"]


def run(arguments: argparse.Namespace) -> None:
    from infra.settings import load_settings

    as_of = parse_as_of(arguments.as_of)
    first = parse_as_of(arguments.first) if arguments.first else as_of - timedelta(days=1)
    layout = load_settings().layout
    before, after = compact_served(layout, first, as_of)
    print(f"compact_served {first} to {as_of} | {before:,} files became {after:,}", file=sys.stderr)
    print(f"{TABLE_SERVED_FEATURES}@{table_version(layout.table(TABLE_SERVED_FEATURES))}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m features.compact_served", description=(__doc__ or "").split("\n")[0],
                                     epilog="example: python -m features.compact_served --as-of 2026-11-22")
    parser.add_argument("--from", dest="first", metavar="D0", help="first day (default: the day before --as-of)")
    parser.add_argument("--as-of", required=True, metavar="D", help="every day before D")
    arguments = parser.parse_args(argv)
    return exit_code(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
