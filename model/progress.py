"""One self-sufficient line per interval of a long training."""

import time
from collections.abc import Mapping

INTERVAL_S = 5.0


class Progress:
    """progress.step(120, {"loss": 0.43}) prints, at most every INTERVAL_S and at the end:

    encoder 00120/00300 (40.0%) | loss 0.4300 | 5.2k ex/s | eta 0.4m
    """

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.began = self.printed = time.monotonic()

    def step(self, number: int, figures: Mapping[str, float], examples: int) -> None:
        """`examples` is how many have been trained on so far."""
        now = time.monotonic()
        if number < self.total and now - self.printed < INTERVAL_S:
            return
        self.printed = now
        spent = max(now - self.began, 1e-9)
        shown = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
        rate, left = examples / spent, spent / number * (self.total - number)
        speed = f"{rate / 1_000:.1f}k" if rate >= 1_000 else f"{rate:.0f}"
        print(f"{self.name} {number:05d}/{self.total:05d} ({number / self.total:.1%}) | {shown} | {speed} ex/s | "
              f"eta {left / 60:.1f}m", flush=True)
