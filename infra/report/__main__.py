"""`python -m infra.report --as-of D`: write <home>/reports/demo/index.html, replaced at once."""

import argparse
import os
import sys
from pathlib import Path

from features.clock import SystemClock, parse_as_of
from features.errors import GatesidError
from infra.report import sections
from infra.report.page import page
from infra.settings import load_settings

LABELS = {
    "complete_journey": "Label `response`: an order line of the household; four lines of the same day, bought by others, stand "
                        "for impressions without response. Whether this data set is real or simulated is disputed.",
    "kuairand": "Labels: a valid play, and a long view as the second task (KuaiRand-Pure, CC BY-SA 4.0).",
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.report", description=__doc__)
    parser.add_argument("--as-of", required=True, help="UTC day of the evaluation to show, YYYY-MM-DD")
    as_of = parse_as_of(parser.parse_args(argv).as_of).isoformat()
    settings = load_settings()
    layout = settings.layout
    text = page(
        "gatesid", f"{settings.data.dataset}, as of {as_of}; written {SystemClock().now():%Y-%m-%d %H:%M} UTC",
        [sections.evaluation(layout, as_of, LABELS.get(settings.data.dataset, "")), sections.live(settings.home),
         sections.codebook(layout), sections.stream(settings.home), sections.lineage(layout)])
    write(layout.report("demo") / "index.html", text)
    return 0


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)
    print(path)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        sys.exit(fault.exit_code)
