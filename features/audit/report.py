"""The audit's result as a page for people and as JSON for programs."""

import math
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from features.audit.verdict import CAUSES, Freshness, Verdict, share_of
from features.clock import from_ms


@dataclass
class Audit:
    """target, fresh_target: the share of values that must be equal, and in time, 0 to 1."""

    first: date
    as_of: date
    requests: int
    item_rows: int
    reads: dict[str, int]
    target: float
    fresh_target: float
    late_after_s: float
    verdicts: list[Verdict]
    freshness: list[Freshness]

    def faults(self) -> list[str]:
        """What is below its target, the worst first; none: the audit holds."""
        below = sorted((verdict for verdict in self.verdicts if verdict.share < self.target), key=lambda verdict: verdict.share)
        late = [fresh for fresh in self.freshness if fresh.share_in_time < self.fresh_target]
        return [f"{one.feature} {percent(one.share)} equal ({causes_of(one)})" for one in below] + [
            f"{one.rows} {percent(one.share_in_time)} in time ({one.later_than_allowed:,} later than {self.late_after_s:g} s)"
            for one in late]

    def as_dict(self) -> dict[str, Any]:
        return {"from": self.first, "as_of": self.as_of, "ok": not self.faults(), "faults": self.faults(),
                "requests": self.requests, "item_rows": self.item_rows, "reads": self.reads, "target": self.target,
                "fresh_target": self.fresh_target, "late_after_s": self.late_after_s,
                "features": [asdict(verdict) | {"share": verdict.share} for verdict in self.verdicts],
                "freshness": [asdict(fresh) | {"share_in_time": fresh.share_in_time} for fresh in self.freshness]}

    def text(self) -> str:
        faults = self.faults()
        lines = [
            f"served features {self.first} to {self.as_of} (excluded): {self.requests:,} requests, "
            f"{self.item_rows:,} item rows",
            "against " + ", ".join(f"{table} v{version}" for table, version in self.reads.items()), "",
            f"{'feature':<18}{'values':>12}{'equal':>12}{'share':>11}{'largest difference':>20}   not equal, by cause"]
        lines += [f"{one.feature:<18}{one.values:>12,}{one.equal:>12,}{percent(one.share):>11}{one.largest_difference:>20g}   "
                  f"{causes_of(one) or '-'}" for one in self.verdicts]
        lines += ["", "freshness: for how long a newer row had been readable, in seconds",
                  f"{'rows':<18}{'values':>12}{'newest':>12}{'share':>11}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>10}   "
                  f"later than {self.late_after_s:g} s"]
        for fresh in self.freshness:
            quantiles = "".join(f"{fresh.late_s[name]:>9.1f}" for name in ("p50", "p90", "p99"))
            share = percent(share_of(fresh.newest, fresh.values))
            lines.append(f"{fresh.rows:<18}{fresh.values:>12,}{fresh.newest:>12,}{share:>11}{quantiles}"
                         f"{fresh.late_s['p100']:>10.1f}   {fresh.later_than_allowed:,}")
        for verdict in self.verdicts:
            lines += [f"\n{verdict.feature}, {note}" for note in verdict.notes]
            lines += [f"{verdict.feature} {sample['cause']}: {where(sample)}: served {sample['served']}, "
                      f"the lake has {sample['offline'] if sample['offline'] is not None else 'no such row'}"
                      for sample in verdict.samples]
        lines += [f"{fresh.rows} late: {where(sample)}: a newer row had been readable for {sample['late_ms'] / 1000:g} s"
                  for fresh in self.freshness for sample in fresh.samples]
        verdict_line = f"every target holds: {percent(self.target)} equal, {percent(self.fresh_target)} in time"
        return "\n".join([*lines, "", "BELOW TARGET: " + "; ".join(faults) if faults else verdict_line])


def where(sample: dict[str, Any]) -> str:
    return f"request {sample['request_id']}, {sample['key']} at {from_ms(sample['served_ms']):%Y-%m-%dT%H:%M:%SZ}"


def causes_of(verdict: Verdict) -> str:
    return ", ".join(f"{verdict.causes[cause]:,} {cause}" for cause in CAUSES if cause in verdict.causes)


def percent(share: float) -> str:
    """Two decimals, rounded down: 100.00 % means all of them."""
    return f"{math.floor(share * 1e4) / 100:.2f} %"
