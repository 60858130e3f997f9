"""One HTML page, replaced at once.

    python -m infra.report --as-of D           the demo                     → reports/demo/index.html
    python -m infra.report --comparison NAME   a finished `gatesid compare` → reports/compare-NAME/index.html
"""

import argparse
import os
import sys
from pathlib import Path

from features.clock import SystemClock, parse_as_of
from features.errors import GatesidError
from infra.report import comparison, sections
from infra.report.codebook import codebook
from infra.report.page import page
from infra.settings import Settings, load_settings

LABELS = {
    "complete_journey": "Label `response`: an order line of the household; four lines of the same day, bought by others, stand "
                        "for impressions without response. Whether this data set is real or simulated is disputed.",
    "kuairand": "Labels: a valid play, and a long view as the second task (KuaiRand-Pure, CC BY-SA 4.0).",
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m infra.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--as-of", help="UTC day of the evaluation to show, YYYY-MM-DD")
    shown.add_argument("--comparison", metavar="NAME", help="of a finished `gatesid compare`: its folder under runs/compare")
    given, settings = parser.parse_args(argv), load_settings()
    name, text = compared(settings, given.comparison) if given.comparison else demo(settings, given.as_of)
    write(settings.layout.report(name) / "index.html", text)
    return 0


def compared(settings: Settings, name: str) -> tuple[str, str]:
    return f"compare-{name}", comparison.comparison_page(name, comparison.read_comparison(settings.layout, name))


def demo(settings: Settings, day: str) -> tuple[str, str]:
    layout, as_of = settings.layout, parse_as_of(day).isoformat()
    return "demo", page(
        "gatesid", f"{settings.data.dataset}, as of {as_of}; written {SystemClock().now():%Y-%m-%d %H:%M} UTC",
        [sections.evaluation(layout, as_of, LABELS.get(settings.data.dataset, "")), comparison.newest(layout),
         sections.live(settings.home), codebook(layout), sections.stream(settings.home), sections.lineage(layout)])


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
