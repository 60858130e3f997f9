"""The live codebook: what its health check saw, beside the limits that it was held to."""

from typing import Any

from features.layout import Layout
from infra.report import plots
from infra.report.figures import bucket
from infra.report.page import paragraph, section, table
from infra.report.page import plots as drawn
from infra.report.sections import absent, read

TITLE = "Semantic IDs"
AGES = "online_days_"


def codebook(layout: Layout) -> str:
    live = read(layout.live_codebook_file)
    if live is None:
        return absent(TITLE, layout.live_codebook_file, "gatesid train rqvae --as-of … --encoder …")
    health = read(layout.codebook(live["version"]) / "health.json") or {}
    levels = health["levels"]
    rows = [[f"level {n}", f"{level['used']} of {level['usable']}", f"{level['coverage']:.1%}", level["dead_codes"],
             f"{level['perplexity']:.0f}", f"{level['gini']:.2f}" if "gini" in level else "–"]
            for n, level in enumerate(levels, 1)]
    said = (f"Codebook {live['version']}: {health['items']:,} items of {health['contents']:,} different contents have "
            f"{health['distinct_sids']:,} different SIDs; {health['collision_rate_contents']:.1%} of the different contents "
            f"share theirs with another, {health['collision_rate_items']:.1%} of the items (equal text gives equal SIDs). The "
            f"codes explain {health['explained_variance']:.1%} of the vectors' variance.")
    names = [f"level {n}" for n in range(1, len(levels) + 1)]
    return section(TITLE, paragraph(said), table(["", "codes used", "coverage", "dead", "perplexity", "Gini"], rows),
                   *stability(health.get("stability")), *limits(health.get("limits")), drawn(
        plots.bars("How evenly codes are used, by level", "", "perplexity", names, [level["perplexity"] for level in levels]),
        *by_age(health.get("by_age", {})), *hits(health.get("co_click", {}))))


def by_age(found: dict[str, Any]) -> list[Any]:
    ages = {name: one for name, one in found.items() if name.startswith(AGES)}
    if not ages:
        return []
    names = [f"{bucket(name)} ({one['items']:,})" for name, one in ages.items()]
    return [plots.bars("Variance explained, by item age", "days online (items)", "share of variance", names,
                       [one["explained_variance"] for one in ages.values()])]


def hits(co_click: dict[str, Any]) -> list[Any]:
    """Of held-out co-click pairs: what each space knows of them, among all contents and among those that were ever taken."""
    shown = {title: {space: value for space, value in co_click.get(name, {}).items() if value is not None}
             for name, title in (("hit_at_30", "all contents"), ("hit_at_30_of_taken", "the contents that were taken"))}
    return [plots.bars(f"Held-out co-click pairs, hit@30 among {title}", "", "share", [*known], [*known.values()])
            for title, known in shown.items() if known]


def stability(moved: dict[str, Any] | None) -> list[str]:
    """Beside the codebook before it, where it was named after one."""
    if not moved:
        return []
    overlap = moved["neighbourhood_overlap"]
    said = "" if overlap is None else f" Of a content's 30 nearest, {overlap:.1%} were among its nearest before."
    weighted = {"items": moved, "impressions": moved["by_impressions"] or {}}
    shown = [(how, of, found[name]) for of, found in weighted.items()
             for how, name in (("as trained", "as_trained"), ("matched", "matched")) if name in found]
    rows = [[how, of, *(f"{share:.1%}" for share in [*churn["by_level"], churn["anywhere"]])] for how, of, churn in shown]
    levels = [f"level {n}" for n in range(1, len(moved["matched"]["by_level"]) + 1)]
    return [paragraph(f"Against {moved['matched_to']}, over {moved['items']:,} items: shares whose code is another one.{said}"),
            table(["churn", "of", *levels, "anywhere"], rows)]


def limits(held_to: dict[str, float] | None) -> list[str]:
    if not held_to:
        return []
    said = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in held_to.items())
    return [paragraph(f"It was held to: {said}.", soft=True)]
