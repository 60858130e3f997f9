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

CHECKED = ("model/codebooks.py", "model/codebook_uses.py", "features/artefacts.py", "features/live_codebook.py")
KILLED = 9


def change(layout, verb, version):
    if verb == "publish":
        codebooks.publish(layout, version, codebooks.live_now(layout))
    else:
        codebooks.retire(layout, version)


def killed_at(line, layout, verb, version):
    """In a child process: ends with KILLED at that line, with 0 when the change is done before."""
    reached = 0

    def trace(frame, event, _):
        nonlocal reached
        if not frame.f_code.co_filename.endswith(CHECKED):
            return None
        if event == "line":
            reached += 1
            if reached == line:
                os._exit(KILLED)
        return trace

    sys.settrace(trace)
    change(layout, verb, version)
    os._exit(0)


def main(template, out, verb, version):
    for line in count(1):
        home = out / str(line)
        shutil.copytree(template, home, copy_function=os.link)  # nothing is changed in place
        child = os.fork()
        if not child:
            killed_at(line, Layout(home), verb, version)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended == 0:
            print(line - 1)
            return
        assert ended == KILLED, ended


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
