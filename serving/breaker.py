"""A circuit breaker: who does not answer several times in a row is left alone for a moment.

    closed ──(faults in a row)──► open ──(hold_seconds)──► one trial call ──► closed, or open again

While it is open, calls are refused at once, so a request goes on to its fallback instead of waiting for its deadline.
Own code, because the libraries hold a lock during the call (pybreaker) or let every thread try at once (circuitbreaker).
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from serving.fault import UNAVAILABLE, ServingFault

T = TypeVar("T")

FAULTS_IN_A_ROW = 5
HOLD_SECONDS = 1.0


class CircuitBreaker:
    """Safe for threads. `counts` says which faults are the other side's silence, not the doing of one request."""

    def __init__(
        self, counts: Callable[[Exception], bool], faults_in_a_row: int = FAULTS_IN_A_ROW, hold_seconds: float = HOLD_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts, self.faults_in_a_row, self.hold_seconds, self.now = counts, faults_in_a_row, hold_seconds, now
        self.lock = threading.Lock()
        self.faults, self.trial_time, self.said = 0, 0.0, ""

    @property
    def is_open(self) -> bool:
        return self.faults >= self.faults_in_a_row

    def call(self, function: Callable[[], T]) -> T:
        """The function's answer or fault. Raises ServingFault UNAVAILABLE without a call while the breaker is open."""
        self.admit()
        try:
            answer = function()
        except Exception as fault:
            if self.counts(fault):
                self.failed(fault)
            else:
                self.answered()
            raise
        self.answered()
        return answer

    def admit(self) -> None:
        with self.lock:
            if not self.is_open:
                return
            if self.now() < self.trial_time:
                raise ServingFault(UNAVAILABLE, f"left alone after {self.faults} faults in a row, the last: {self.said}")
            self.trial_time = self.now() + self.hold_seconds  # this caller tries; the others are refused until it is known

    def failed(self, fault: Exception) -> None:
        with self.lock:
            self.faults += 1
            self.trial_time, self.said = self.now() + self.hold_seconds, str(fault)

    def answered(self) -> None:
        with self.lock:
            self.faults = 0
