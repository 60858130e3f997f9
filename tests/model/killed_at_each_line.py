"""Run a change of the codebooks over and over, killed at its first line, its second, … until one run comes through.

    python killed_at_each_line.py TEMPLATE OUT publish|retire VERSION

Run n works on a copy of the home TEMPLATE, OUT/<n>, and is killed (no `finally` runs) when it reaches the n-th line of the
project's own code; the last copy is the one of the run that came through. Prints how many were killed.
"""

import os
import shutil
import sys
from itertools import count
from pathlib import Path

from features.layout import Layout
from model import codebooks
from tests.killed import killed_at

CHECKED = ("model/codebooks.py", "model/codebook_uses.py", "features/artefacts.py", "features/live_codebook.py")


def change(layout, verb, version):
    if verb == "publish":
        codebooks.publish(layout, version, codebooks.live_now(layout))
    else:
        codebooks.retire(layout, version)


def main(template, out, verb, version):
    for line in count(1):
        home = out / str(line)
        shutil.copytree(template, home, copy_function=os.link)  # nothing is changed in place
        if not killed_at(line, lambda home=home: change(Layout(home), verb, version), CHECKED):
            print(line - 1)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
