"""Two codebooks in one online store, on a Valkey of its own: who is where, and what a reader of each finds."""

import threading

import numpy as np
import pytest

from features.retrieval import FeatureStoreConfig, OnlineFeatures

pytestmark = pytest.mark.feast
NOON_MS = 1_767_268_800_000
ITEMS = [f"i{n}" for n in range(300)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    from infra.valkey import running_valkey

    with running_valkey(tmp_path_factory.mktemp("places")) as given:
        yield given


@pytest.fixture
def online(address, tmp_path):
    store = OnlineFeatures(FeatureStoreConfig(tmp_path, address))
    store.apply()
    store.items.client.flushall()
    return store


@pytest.fixture
def live(online):
    """live("cb-1"): the codebook that the live file names."""
    def make(version):
        file = online.config.home / "codebooks" / "live.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'{{"version": "{version}"}}')
    return make


def push(online, codebook, at_ms, items=ITEMS):
    online.push_semantic_ids(items, np.full((len(items), 4), int(codebook[-1])), codebook, at_ms)


def codes_of(online, codebook, items=ITEMS):
    """The first code of each item in a codebook."""
    return online.read_items(items).codes_of(codebook)[:, 0].tolist()


def test_another_codebook_leaves_the_live_one_as_it_is_and_back_again(online, live):
    live("cb-1")
    push(online, "cb-1", NOON_MS)
    push(online, "cb-2", NOON_MS + 1, ITEMS[:100])
    assert codes_of(online, "cb-1") == [1] * 300
    assert codes_of(online, "cb-2") == [2] * 100 + [-1] * 200
    rows = online.read_items(ITEMS)
    assert rows.codebook_version.tolist() == ["cb-2"] * 100 + ["cb-1"] * 200, "the one given last"
    assert rows.other_codebook.tolist() == ["cb-1"] * 100 + [""] * 200
    live("cb-2")
    push(online, "cb-2", NOON_MS + 2)
    assert (codes_of(online, "cb-1"), codes_of(online, "cb-2")) == ([1] * 300, [2] * 300)
    live("cb-1")
    push(online, "cb-1", NOON_MS + 3, ["late"])
    assert codes_of(online, "cb-1", [*ITEMS, "late"]) == [1] * 301, "back again without a push of everything"


def test_a_third_codebook_takes_the_place_of_the_one_that_is_not_live(online, live):
    for version, at_ms in (("cb-1", NOON_MS), ("cb-2", NOON_MS + 1)):
        live(version)
        push(online, version, at_ms)
    live("cb-1")  # cb-2 was taken back
    push(online, "cb-1", NOON_MS + 2)
    push(online, "cb-3", NOON_MS + 3)
    assert (codes_of(online, "cb-1"), codes_of(online, "cb-2"), codes_of(online, "cb-3")) == (
        [1] * 300, [-1] * 300, [3] * 300)
    live("cb-4")  # published before anything was pushed of it: the older claim goes, not the one used last
    push(online, "cb-4", NOON_MS + 4)
    assert (codes_of(online, "cb-3"), codes_of(online, "cb-4")) == ([3] * 300, [4] * 300)


def test_pushing_again_changes_nothing(online, live):
    live("cb-1")
    for at_ms in (NOON_MS, NOON_MS, NOON_MS + 1):
        push(online, "cb-1", at_ms)
    assert codes_of(online, "cb-1") == [1] * 300
    assert online.read_items(ITEMS).other_codebook.tolist() == [""] * 300


def test_no_reader_ever_meets_a_mixture_while_codebooks_change(online, live):
    live("cb-1")
    push(online, "cb-1", NOON_MS)
    mixed, done = [], threading.Event()

    def read():
        while not done.is_set():
            found = set(codes_of(online, "cb-1"))
            if found != {1}:
                mixed.append(found)
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(4):
        push(online, "cb-2", NOON_MS + 1 + n)
    done.set()
    for reader in readers:
        reader.join()
    assert mixed == []
    assert codes_of(online, "cb-2") == [2] * 300
