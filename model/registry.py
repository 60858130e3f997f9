"""The codebook versions: which there are, how good, how far apart, which is live.

    python -m model.registry list [--json]
    python -m model.registry show cb-2026-11-22 [--json]       its health and what uses it
    python -m model.registry diff cb-2026-11-15 cb-2026-11-22 [--as-of 2026-11-22]
                                                               the share of items whose code differs, level by level; and of
                                                               the impressions of the week before a day
    python -m model.registry publish cb-2026-11-22 [--instead-of cb-2026-11-15]
    python -m model.registry retire cb-2026-11-15

`publish` verifies the folder whole and makes it live, unless another codebook became live since the one that was seen:
`--instead-of` names that (`none`: there was none); without, it is the one live when the command starts. `retire` deletes a
codebook that nothing in use refers to, and says what does otherwise.
"""

import argparse
import json
import sys
from typing import Any

from features.artefacts import MANIFEST, read_manifest
from features.clock import parse_as_of
from features.errors import GatesidError, exit_code
from features.layout import Layout
from features.names import SLICE_NEW
from infra.settings import load_settings
from model.codebook_diff import codebook_diff, sid_counts
from model.codebook_stability import stability_lines
from model.codebook_uses import uses
from model.codebooks import check_name, live_now, publish, retire, retired_versions

NONE = "none"


def described(layout: Layout, version: str, sids: int | None) -> dict[str, Any]:
    """One codebook as `list` and `show --json` have it. Raises ArtefactError: it is not whole."""
    manifest = read_manifest(layout.codebook(version), kind="codebook")
    return {"version": version, "live": live_now(layout) == version, "encoder": manifest["encoder"], "as_of": manifest["as_of"],
            "quantiser": manifest.get("quantiser", "rqvae"), "sids": sids or 0,
            "used_by": [use.what for use in uses(layout, version)], "health": manifest.get("health")}


def all_versions(layout: Layout) -> list[dict[str, Any]]:
    """Every whole codebook, by name; one that is not whole has its fault instead."""
    sids, found = sid_counts(layout), []
    for folder in sorted(layout.live_codebook_file.parent.glob("[!.]*/")):
        try:
            found.append(described(layout, folder.name, sids.get(folder.name)))
        except GatesidError as fault:
            found.append({"version": folder.name, "fault": str(fault)})
    return found


def listed(layout: Layout) -> str:
    lines = [f"{'codebook':<22} {'':<5} {'made from':<38} {'SIDs':>12}  used by"]
    for one in all_versions(layout):
        if "fault" in one:
            lines.append(f"{one['version']:<22} {'':<5} not whole: {one['fault']}")
            continue
        source = f"{one['encoder']}, {one['quantiser']}, as of {one['as_of']}"
        lines.append(f"{one['version']:<22} {'live' if one['live'] else '':<5} {source:<38} {one['sids']:>12,}  "
                     f"{'; '.join(one['used_by']) or 'nothing'}")
    lines += [f"{version:<22} retired" for version in retired_versions(layout)]
    return "\n".join(lines)


def shown(one: dict[str, Any]) -> str:
    """The health figures of one codebook, for a person."""
    health = one["health"] or {"levels": []}
    lines = [f"{one['version']}{' (live)' if one['live'] else ''}: {one['quantiser']} of {one['encoder']}, as of "
             f"{one['as_of']}, {one['sids']:,} SIDs",
             f"used by: {'; '.join(one['used_by']) or 'nothing'}"]
    for number, level in enumerate(health["levels"], start=1):
        lines.append(f"level {number}: {level['used']} of {level['usable']} codes used, coverage {level['coverage']:.1%}, "
                     f"perplexity {level['perplexity']:.0f} ({level['perplexity_share']:.0%})")
    if not health["levels"]:
        return "\n".join([*lines, "it was never judged"])
    lines.append(f"collisions: items {health['collision_rate_items']:.1%}, contents {health['collision_rate_contents']:.1%}; "
                 f"largest bucket {health['largest_bucket_items']} items, {health['largest_bucket_contents']} contents")
    new = health.get("by_age", {}).get(SLICE_NEW)
    lines.append(f"explained variance {health['explained_variance']:.1%}" +
                 (f", of items online for less than 20 days {new['explained_variance']:.1%}" if new else ""))
    lines += stability_lines(health["stability"]) if health.get("stability") else []
    return "\n".join([*lines, *(f"{name} {space}: {value:.4f}" for name in ("hit_at_30", "hit_at_30_of_taken", "pair_auc")
                                for space, value in health.get("co_click", {}).get(name, {}).items() if value is not None)])


def compared(diff: dict[str, Any]) -> str:
    lines = [f"{diff['items']:,} items have a SID in both; only in {diff['old']} {diff['only_old']:,}, only in {diff['new']} "
             f"{diff['only_new']:,}"]
    for changed, of in ((diff["changed"], "the items"), (diff["changed_by_impressions"], "the impressions")):
        if changed:
            lines += [f"level {number}: {share:.1%} of {of} have another code"
                      for number, share in enumerate(changed["by_level"], start=1)]
            lines.append(f"anywhere: {changed['anywhere']:.1%} of {of}")
    return "\n".join(lines)


def run(layout: Layout, given: argparse.Namespace) -> str:
    """What a verb prints; its last line is the version where something changed."""
    if given.verb == "list":
        return json.dumps(all_versions(layout), indent=1) if given.json else listed(layout)
    if given.verb == "diff":
        diff = codebook_diff(layout, given.old, given.new, given.as_of and parse_as_of(given.as_of))
        return json.dumps(diff, indent=1) if given.json else compared(diff)
    if given.verb == "show":
        check_name(given.version)
        one = described(layout, given.version, sid_counts(layout).get(given.version))
        return json.dumps(one, indent=1) if given.json else shown(one)
    if given.verb == "publish":
        seen = live_now(layout) if given.instead_of is None else None if given.instead_of == NONE else given.instead_of
        publish(layout, given.version, seen)
        return f"codebook {given.version} is live, instead of {seen or NONE}\n{given.version}"
    retire(layout, given.version)
    return f"codebook {given.version} is retired; its {MANIFEST} and its SIDs in the lake stay\n{given.version}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model.registry", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="for programs")
    verbs.add_parser("list", parents=[as_json], help="every codebook: made from, SIDs, live or not, what uses it")
    verbs.add_parser("show", parents=[as_json], help="the health of one").add_argument("version")
    diff = verbs.add_parser("diff", parents=[as_json], help="the share of items whose code differs, by level")
    diff.add_argument("old")
    diff.add_argument("new")
    diff.add_argument("--as-of", metavar="D", help="weigh items by their impressions of the seven days before D too")
    publishing = verbs.add_parser("publish", help="verify one whole and make it live")
    publishing.add_argument("version")
    publishing.add_argument("--instead-of", metavar="V", help="the one you saw live; none: there was none")
    verbs.add_parser("retire", help="delete one that nothing in use refers to").add_argument("version")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    given = parse(argv)
    return exit_code(lambda: print(run(load_settings().layout, given)))


if __name__ == "__main__":
    sys.exit(main())
