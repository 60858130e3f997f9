"""Several jobs over the same days, one after the other in one Spark session: starting one costs more than a day's work.

    python -m spark_jobs entity_index item_stats user_history training_frame --from 2026-11-21 --as-of 2026-11-22

The first that fails ends it; what ran before it stands, and running it all again leaves the same result.
"""

import argparse
import sys

from infra.jars import delta_jars
from infra.settings import load_settings
from spark_jobs import co_click, entity_index, item_stats, training_frame, user_history
from spark_jobs.run import run_jobs

JOBS = {"co_click": co_click, "entity_index": entity_index, "item_stats": item_stats, "training_frame": training_frame,
        "user_history": user_history}  # those that need no option but their days


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m spark_jobs", description=(__doc__ or "").split("\n")[0],
                                     epilog="example: python -m spark_jobs entity_index item_stats --as-of 2026-11-22")
    parser.add_argument("jobs", nargs="+", choices=JOBS, metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--from", dest="first", metavar="D0", help="first day (default: the day before --as-of)")
    parser.add_argument("--as-of", required=True, metavar="D", help="every day before D; D itself is not read")
    given = parser.parse_args(argv)
    days = ["--as-of", given.as_of, *(["--from", given.first] if given.first else [])]
    return run_jobs([(name, JOBS[name].work, JOBS[name].options().parse_args(days)) for name in given.jobs],
                    load_settings, delta_jars)


if __name__ == "__main__":
    sys.exit(main())
