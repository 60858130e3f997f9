"""How many requests a process takes at once: a burst may wait, a queue that does not empty may not.

While every worker is busy, one more request waiting makes each slower and none faster. So up to `most` are taken as long as a
worker was free a moment ago; after BURST_SECONDS without one, only what can be begun next is. Of one event loop, no locks.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BURST_SECONDS = 0.1
NEXT = 1  # waits for the next free worker, so that none is idle between two requests


class Admission:
    """Args:
      workers: requests worked on at the same time.
      most: worked on and waiting, in a burst.
    """

    def __init__(self, workers: int, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self.workers, self.most, self.now = workers, most, now
        self.in_flight, self.free_at = 0, now()

    def full(self) -> bool:
        self.note()
        standing = self.now() - self.free_at > BURST_SECONDS
        return self.in_flight >= (min(self.workers + NEXT, self.most) if standing else self.most)

    @contextmanager
    def place(self) -> Iterator[None]:
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self.note()

    def note(self) -> None:
        if self.in_flight < self.workers:
            self.free_at = self.now()
