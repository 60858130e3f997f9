"""Carry a switch out over and over, killed at its first line, its second, … until one run comes through.

    python killed_in_switch.py TEMPLATE OUT STORE

Run n works on a copy of the home TEMPLATE, OUT/<n>, and on the online store STORE, which holds SIDs of cb-1 alone before; it is
killed (no `finally` runs) when it reaches the n-th line of the code that changes something. Prints a JSON list, for each run:
the live codebook, the newest model that a model server takes, and the items whose SIDs of that model's codebook are online.
"""

import json
import shutil
import sys
from datetime import date
from itertools import count
from pathlib import Path

import redis

from features.artefacts import read_manifest
from features.errors import CodebookMismatch
from features.layout import Layout
from features.retrieval import FeatureStoreConfig, OnlineFeatures
from model.codebooks import live_now
from serving.compatibility import check_compatible
from serving.switch import Switch, carry_out
from tests.killed import killed_at

CHECKED = ("serving/switch.py", "serving/promote.py", "model/codebooks.py", "features/artefacts.py")
CHANGES_NOTHING = ("read_manifest", "sha256", "publishable", "sync")
ITEMS = [f"i{n}" for n in range(6)]


def switch(home, store):
    carry_out(Switch(home, "ranker", date(2026, 1, 2), "cb-2", "tiny", 2026010102, "cb-1", 1.0, 0.0),
              OnlineFeatures(FeatureStoreConfig(home.home, store)), say=lambda line: None)


def newest_taken(home):
    """What a model server that starts now answers with: (version, codebook)."""
    for folder in sorted(home.serving.glob("ranker/2*"), reverse=True):
        try:
            manifest = read_manifest(folder, kind="model", verify=True)
            check_compatible(manifest, live_now(home))
            return int(folder.name), manifest["codebook_version"]
        except CodebookMismatch:
            pass
    return None


def with_sid_of(codebook, home, store):
    rows = OnlineFeatures(FeatureStoreConfig(home.home, store)).read_items(ITEMS)
    return [item for n, item in enumerate(ITEMS) if codebook in (rows.codebook_version[n], rows.other_codebook[n])]


def main(template, out, store):
    found, client = [], redis.Redis.from_url(f"redis://{store}")
    for line in count(1):
        home = Layout(out / str(line))
        shutil.copytree(template, home.home)
        client.flushdb()
        OnlineFeatures(FeatureStoreConfig(home.home, store)).push_semantic_ids(ITEMS, [[1, 1, 1, 1]] * len(ITEMS), "cb-1", 1)
        killed = killed_at(line, lambda home=home: switch(home, store), CHECKED, CHANGES_NOTHING)
        version, codebook = newest_taken(home)
        found.append([live_now(home), version, with_sid_of(codebook, home, store)])
        if not killed:
            print(json.dumps(found))
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
