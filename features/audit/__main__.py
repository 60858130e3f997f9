"""`python -m features.audit --as-of D`: was every logged request served what the lake says?

    python -m features.audit --as-of 2026-11-22                          the day before
    python -m features.audit --from 2026-11-01 --as-of 2026-11-22 --late-after 120

Compares each served value with the offline row of the very tick, SID version or history that it names; writes audit.txt and
audit.json under <home>/reports/audit-<as_of>, prints the page to stderr and ends with exit code 4 where a target is missed. The
rebuilt maturity and the SIDs of those days must be there (`spark_jobs.item_stats`, `spark_jobs.sid_assignment`).
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta

from features.artefacts import write_json
from features.audit.explain import explain
from features.audit.histories import judge_histories
from features.audit.maturity import judge_maturity
from features.audit.profiles import judge_profiles
from features.audit.report import Audit
from features.audit.sids import judge_sids
from features.audit.tables import one_row, open_tables
from features.clock import parse_as_of
from features.errors import ConfigError, DataError, exit_code
from features.layout import Layout

LATE_AFTER_S = 60.0


def audit(
    layout: Layout, first: date, as_of: date, target: float = 1.0, fresh_target: float = 1.0,
    late_after_s: float = LATE_AFTER_S,
) -> Audit:
    """Judge the requests served on the days [first, as_of). Raises ArtefactError and DataError as `open_tables` does."""
    late_after_ms = round(late_after_s * 1000)
    connection, reads = open_tables(layout, first, as_of)
    with connection:
        requests, item_rows = one_row(connection, "SELECT count(*), sum(len(item_ids)) FROM served")
        counts, maturity_fresh = judge_maturity(connection, late_after_ms)
        explain(connection, counts)
        histories, history_fresh = judge_histories(connection, late_after_ms)
        verdicts = [*counts, *judge_profiles(connection, late_after_ms), *judge_sids(connection), *histories]
    return Audit(first, as_of, requests, item_rows, reads, target, fresh_target, late_after_s, verdicts,
                 [maturity_fresh, history_fresh])


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected a share in percent, 0 to 100, got {text}")
    return value / 100


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m features.audit", description=(__doc__ or "").split("\n")[0],
                                     epilog="example: python -m features.audit --as-of 2026-11-22")
    parser.add_argument("--from", dest="first", metavar="D0", help="first day served (default: the day before --as-of)")
    parser.add_argument("--as-of", required=True, metavar="D", help="every day before D")
    parser.add_argument("--target", type=share, default=1.0, metavar="%", help="of the values must be equal (default: 100)")
    parser.add_argument("--fresh-target", type=share, default=1.0, metavar="%",
                        help="of the rows must be in time (default: 100)")
    parser.add_argument("--late-after", type=float, default=LATE_AFTER_S, metavar="S",
                        help=f"seconds a newer row may have been readable (default: {LATE_AFTER_S:g})")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = options().parse_args(argv)
    return exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Raises DataError: a target is missed; the page says which values, and why."""
    from infra.settings import load_settings

    began = time.monotonic()
    as_of = parse_as_of(arguments.as_of)
    first = parse_as_of(arguments.first) if arguments.first else as_of - timedelta(days=1)
    if first >= as_of:
        raise ConfigError(f"--from {first} must be before --as-of {as_of}")
    layout = load_settings().layout
    done = audit(layout, first, as_of, arguments.target, arguments.fresh_target, arguments.late_after)
    folder = layout.report(f"audit-{as_of}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.txt").write_text(done.text() + "\n")
    write_json(folder / "audit.json", done.as_dict() | {"seconds": round(time.monotonic() - began, 1)})
    print(done.text(), file=sys.stderr)
    print(folder)
    if faults := done.faults():
        raise DataError(f"the audit of {first} to {as_of} is below its target: {'; '.join(faults)}. See {folder / 'audit.txt'}")


if __name__ == "__main__":
    sys.exit(main())
