"""What a comparison's models look like inside: the gate, lengths of item embeddings, use of codes."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.report import plots
from infra.report.figures import NOTHING, bucket
from infra.report.page import heading, paragraph, section, table
from infra.report.page import plots as drawn


def gate(result: Mapping[str, Any]) -> str:
    parts, titles = [], {"age": "days online", "exposure": "exposures of 7 days"}
    for preset, block in result["presets"].items():
        rankers = block["semantic_weight"]
        # Buckets are the same for every ranker.
        for kind, buckets in next(iter(rankers.values()), {}).items():
            names, title = [*map(bucket, buckets)], titles.get(kind, kind)
            means = {ranker: [cell["mean"] for cell in kinds[kind].values()] for ranker, kinds in rankers.items()}
            rows = [[ranker, *(decimals(mean, 2) for mean in found)] for ranker, found in means.items()]
            parts += [heading(f"By {title}, preset {preset}"), table(["mean weight", *names], rows),
                      drawn(plots.lines(f"Gate weight by {kind}, {preset}", title, "mean weight (1 = content)", names, means))]
    return section("What the gate trusts", paragraph(
        "Mean over the reported impressions and the seeds; 1 is content, 0 is behaviour.", soft=True), *parts) if parts else ""


def norms(result: Mapping[str, Any]) -> str:
    """GateSID Fig. 1a: how short the id embeddings of new items are."""
    parts = []
    for preset, block in result["presets"].items():
        found = {ranker: [norm for norm in seeds.values() if norm is not None]
                 for ranker, seeds in block["embedding_norms"].items()}
        found = {ranker: seeds for ranker, seeds in found.items() if seeds}
        if not found:
            continue
        slices = [*next(iter(found.values()))[0]]
        main = [ranker for ranker in found if ranker not in result["ablations"]] or [*found]  # else too many bars
        rows = [[ranker, *(text for name in slices for text in norm_cells([norm[name] for norm in seeds]))]
                for ranker, seeds in found.items()]
        header = [f"{name}: {what}" for name in slices for what in ("items", "mean norm", "zero", "norm of the others")]
        parts += [heading(f"Preset {preset}"), table(["", *(text.replace("_", " ") for text in header)], rows, kind="heat"),
                  drawn(*(plots.grouped_bars(f"{title}, {preset}", "mean L2 norm", main, {
                      name.replace("_", " "): [mean(length(norm[name]) for norm in found[ranker]) for ranker in main]
                      for name in slices}) for title, length in LENGTHS))]
    return section("Item embeddings, new against all", paragraph(
        "At the end of the run, mean over seeds (GateSID Fig. 1a). A vector that training never met is zero and counts in the "
        "mean norm: where many old items are never shown, new ones look long. The others' norm leaves zeros out.", soft=True),
        *parts) if parts else ""


def norm_cells(seeds: list[Mapping[str, Any]]) -> list[str]:
    return [f"{seeds[0]['items']:,}", decimals(mean(map(norm_of_all, seeds)), 3),
            share(mean(seed["zero_share"] for seed in seeds)), decimals(mean(map(norm_of_others, seeds)), 3)]


def norm_of_all(norm: Mapping[str, Any]) -> float | None:
    return norm["mean"]


def norm_of_others(norm: Mapping[str, Any]) -> float | None:
    """Of the vectors that are not zero."""
    return None if norm["mean"] is None or norm["zero_share"] == 1 else norm["mean"] / (1 - norm["zero_share"])


LENGTHS = (("All item embeddings", norm_of_all), ("Those that are not zero", norm_of_others))


def code_use(result: Mapping[str, Any]) -> str:
    """Of every fitted codebook, or of the one that served all seeds."""
    fitted = [(f"seed {seed}, {kind}", made["health"])
              for seed, kinds in result["sids"].items() for kind, made in kinds.items()]
    if not fitted and (result["codebook"] or {}).get("health"):
        fitted = [(result["plan"]["codebook"], result["codebook"]["health"])]
    rows = [row for name, health in fitted for row in code_rows(name, health)]
    return section("Use of codes", paragraph(
        "Perplexity is how many codes a level would have if all were used alike. A collision is a SID that several items, or "
        "several different contents, share.", soft=True),
        table(["codebook", "perplexity by level", "of usable", "coverage", "collisions, contents", "collisions, items",
               "explained variance"], rows)) if rows else ""


def code_rows(name: str, health: Mapping[str, Any]) -> list[list[str]]:
    """One row, and another for OPQ codes where there are some: of SMILE's SID, three RQ levels and they."""
    rows = [code_row(name, health)]
    return rows + ([code_row(f"{name}, OPQ", health["opq"])] if "opq" in health else [])


def code_row(name: str, health: Mapping[str, Any]) -> list[str]:
    levels = [(f"{level['perplexity']:.0f}", str(level["usable"]), share(level["coverage"])) for level in health["levels"]]
    return [name, *map(" ".join, zip(*levels, strict=True)), share(health.get("collision_rate_contents")),
            share(health.get("collision_rate_items")), share(health.get("explained_variance"))]


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def decimals(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"
