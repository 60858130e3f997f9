"""A change killed at one of its lines: what a crash leaves behind."""

import os
import sys

KILLED = 9


def killed_at(line, change, files, but=()):
    """Run `change()` in a child process that ends, without any `finally`, at the `line`-th line it reaches in these files.

    Args:
      files: ends of paths. but: names of functions whose lines do not count.
    Returns:
      False where it was done before.
    """
    child = os.fork()
    if not child:
        run_to(line, change, tuple(files), but)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, KILLED), ended
    return ended == KILLED


def run_to(line, change, files, but):
    reached = 0

    def trace(frame, event, _):
        nonlocal reached
        if not frame.f_code.co_filename.endswith(files) or frame.f_code.co_name in but:
            return None
        if event == "line":
            reached += 1
            if reached == line:
                os._exit(KILLED)
        return trace

    sys.settrace(trace)
    change()
    os._exit(0)
