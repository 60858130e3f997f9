"""How one day of progressive training went: its figures, and the line that shows them."""

from typing import Any

from numpy.typing import NDArray

from features.maturity import new_under_20_days, popular_over_300_days
from model.dataset import Arrays, Day
from model.metrics import auc, gauc


def day_report(day: Day, scores: Arrays, loss: float) -> dict[str, Any]:
    """The figures of one day: what a progress line shows and a report plots."""
    online = day.features["item_stats"][:, 0]
    young, old = new_under_20_days(online), popular_over_300_days(online)
    users, ctr = day.features["user_row"], scores["ctr"]
    report = {"ds": day.ds, "rows": len(day), "loss": loss, "auc": auc(day.clicked, ctr),
              "gauc_new": gauc(users[young], day.clicked[young], ctr[young]), "gauc_all": gauc(users, day.clicked, ctr)}
    if "semantic_weight" in scores:
        weight = scores["semantic_weight"]
        report |= {"weight_new": mean(weight[young]), "weight_popular": mean(weight[old])}
    return report


def mean(values: NDArray) -> float | None:
    return float(values.mean()) if len(values) else None


def progress_line(report: dict[str, Any], number: int, days: int, rows: int, seconds: float) -> str:
    def shown(value, digits=3):
        return "-" if value is None else f"{value:.{digits}f}"

    parts = [f"{report['ds']} {number:03d}/{days:03d} ({number / days:.1%})", f"rows {report['rows']:,}",
             f"loss {report['loss']:.4f}", f"auc {shown(report['auc'])}",
             f"gauc new {shown(report['gauc_new'])} all {shown(report['gauc_all'])}"]
    if "weight_new" in report:
        parts.append(f"w new {shown(report['weight_new'], 2)} pop {shown(report['weight_popular'], 2)}")
    parts += [f"{rows / seconds / 1000:.1f}k ex/s", f"eta {seconds / number * (days - number) / 60:.1f}m"]
    return " | ".join(parts)
