"""The report's sections: each reads one kind of artefact and says so where it is absent."""

import json
import re
from pathlib import Path
from typing import Any

from features.layout import Layout
from infra.report import plots
from infra.report.figures import FEW_POSITIVES, bucket, few, gap, points
from infra.report.page import paragraph, section, table
from infra.report.page import plots as drawn

RATE = re.compile(r"^maturity ([\d,]+) ev \| ([\d.]+)k/s")


def read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def absent(title: str, path: Path, command: str) -> str:
    return section(title, paragraph(f"There is no {path.name} yet; `{command}` writes it.", soft=True))


def evaluation(layout: Layout, as_of: str, label: str) -> str:
    """Rankers side by side, gain and gate by age and by exposure."""
    title = "Who ranks better where"
    path = layout.report(f"evaluation-{as_of}") / "evaluation.json"
    result = read(path)
    if result is None:
        return absent(title, path, f"gatesid evaluate --as-of {as_of}")
    days, (first, *others) = result["days"], result["rankers"]
    parts = [paragraph(
        f"{days[0]} to {days[-1]}: each day is scored by the model of the day before, then trained on. Figures are points "
        f"(× 100); brackets hold the middle 95 % of draws of user-days; seeds {', '.join(map(str, result['seeds']))}. {label} "
        f"Grey rows rest on fewer than {FEW_POSITIVES} positives.")]
    for task, slices in result["slices"].items():
        for other in others:
            parts.append(slice_table(task, slices, first, other))
    for task, ages in result["by_age"].items():
        parts.append(age_plots(result, task, ages, first, others))
    return section(title, *parts)


def slice_table(task: str, slices: dict[str, Any], first: str, other: str) -> str:
    header = [f"{task.upper()} by slice", "rows", "positives", f"AUC {first}", f"AUC {other}", "difference",
              f"GAUC {first}", f"GAUC {other}", "difference"]
    rows = [[name, f"{cell['rows']:,}", f"{cell['positives']:,}",
             *(text for metric in ("auc", "gauc") for text in (
                 points(cell["rankers"][first][metric]["mean"]), points(cell["rankers"][other][metric]["mean"]),
                 gap(cell["difference"][other][metric])))]
            for name, cell in slices.items()]
    return table(header, rows, [few(cell) for cell in slices.values()])


def age_plots(result: dict[str, Any], task: str, ages: dict[str, Any], first: str, others: list[str]) -> str:
    names = [bucket(name) for name in ages]
    figures = [plots.lines(f"{task.upper()} AUC by item age", "days online", "AUC", names, {
        ranker: [cell["rankers"][ranker]["auc"]["mean"] for cell in ages.values()] for ranker in (first, *others)})]
    for other in others:
        figures.append(plots.gains(f"AUC gain of {other} by item age", "days online", names,
                                   [cell["difference"][other]["auc"] for cell in ages.values()]))
        weights = result["semantic_weight"].get(other)
        for kind, buckets in (weights or {}).items():
            figures.append(plots.lines(f"Gate weight of {other} by {kind}", kind, "mean weight (1 = content)",
                                       [*map(bucket, buckets)], {other: [cell["mean"] for cell in buckets.values()]}))
    return drawn(*figures)


def stream(home: Path) -> str:
    title = "The stream"
    log = home / "run" / "logs" / "stream-maturity.log"
    found = [RATE.match(line) for line in log.read_text().splitlines()] if log.is_file() else []
    rates = [(int(m[1].replace(",", "")), float(m[2]) * 1_000) for m in found if m]
    busy = [(total, rate) for total, rate in rates if rate > 50]
    if not busy:
        return absent(title, log, "gatesid up")
    return section(
        title,
        paragraph(f"{rates[-1][0]:,} records read by the maturity consumer, at most {max(r for _, r in busy):,.0f} a second."),
        drawn(plots.bars("Events per second, by report interval", "records so far", "events/s",
                         [f"{total:,}" for total, _ in busy], [rate for _, rate in busy])))


def live(home: Path) -> str:
    title = "A product is born"
    path = home / "demo" / "live.json"
    seen = read(path)
    if seen is None:
        return absent(title, path, "make demo")
    rows = [[step["moment"], "–" if not step["sid"] else "-".join(map(str, step["sid"])), step["exposure_7d"], step["click_7d"],
             "–" if step.get("semantic_weight") is None else f"{step['semantic_weight']:.3f}", f"{step['score']:.4f}",
             f"{step['place']} of {step['of']}"] for step in seen["steps"]]
    rank = seen["rank_ms"]
    return section(
        title, paragraph(f"“{seen['item']['title']}”, ranked for user {seen['user_id']}: its SID was readable after "
                         f"{seen['seconds_to_sid']:.2f} s. Ranking {rank['candidates']} candidates over HTTP took "
                         f"{rank['p50']:.1f} ms (p50) and {rank['p99']:.1f} ms (p99) over {rank['calls']} calls."),
        table(["moment", "SID", "seen", "taken", "gate", "score", "place"], rows), paragraph(seen["note"]),
        drawn(plots.live(seen["steps"])))


def lineage(layout: Layout) -> str:
    """Which run read and wrote which version of what."""
    rows = []
    for path in sorted(layout.home.glob("runs/*/*.json")):
        run = json.loads(path.read_text())
        rows.append([path.parent.name, path.stem, versions(run.get("reads")), versions(run.get("writes")),
                     run.get("seconds", "–")])
    for kind in ("maturity_state", "encoders", "codebooks", "checkpoints/*", "models/*", "serving/*"):
        for path in sorted(layout.home.glob(f"{kind}/*/manifest.json")):
            made = json.loads(path.read_text())
            artefacts = [made[name] for name in ("encoder", "codebook_version") if made.get(name)]
            artefacts += [made["checkpoint"]["path"]] if "checkpoint" in made else []
            rows.append([made["kind"], path.parent.relative_to(layout.home).as_posix(),
                         ", ".join([versions(made.get("reads")), *artefacts]), f"{len(made['files'])} files", "–"])
    return section("Lineage", paragraph("Every artefact with the versions it was made from; its manifest holds the rest."),
                   table(["what", "as of / version", "read", "wrote", "seconds"], rows))


def versions(given: Any) -> str:
    if isinstance(given, dict):
        return ", ".join(f"{name}@{version}" for name, version in given.items()) or "–"
    return str(given) if given else "–"
