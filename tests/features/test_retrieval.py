"""Pushes and reads against a real Valkey through Feast, which other tests use too: ids here have a prefix of their own."""

import socket
import threading

import numpy as np
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ArtefactError, EnvironmentFault
from features.repo.services import ranking_v1_items, ranking_v1_user
from features.retrieval import FeatureStoreConfig, OnlineFeatures
from features.sid_places import PLACES

pytestmark = pytest.mark.feast
NOON_MS = 1_767_268_800_000


@pytest.fixture(scope="module")
def online(valkey, tmp_path_factory):
    store = OnlineFeatures(FeatureStoreConfig(tmp_path_factory.mktemp("feast"), valkey))
    store.apply()
    return store


def test_what_is_pushed_is_read_in_the_order_asked(online):
    online.push_maturity(["r-a", "r-b"], [NOON_MS, NOON_MS + 10_000], [17, 0], [3, 0])
    online.push_semantic_ids(["r-a"], [[0, 255, 7, 1]], "cb-1", NOON_MS)
    online.push_profiles(["r-a", "r-b"], [NOON_MS - 5, 1], ["Rolled oats 500 g", None], NOON_MS)
    rows = online.read_items(["r-b", "r-a", "r-b"])
    assert rows.item_ids.tolist() == ["r-b", "r-a", "r-b"]
    assert rows.codes.tolist() == [[-1] * 4, [0, 255, 7, 1], [-1] * 4]
    assert rows.codebook_version.tolist() == ["", "cb-1", ""]
    assert (rows.exposure_7d.tolist(), rows.click_7d.tolist()) == ([0, 17, 0], [0, 3, 0])
    assert rows.maturity_tick_ms.tolist() == [NOON_MS + 10_000, NOON_MS, NOON_MS + 10_000]
    assert rows.published_at_ms.tolist() == [1, NOON_MS - 5, 1]
    assert rows.titles.tolist() == ["", "Rolled oats 500 g", ""]
    assert (rows.codes.dtype, rows.exposure_7d.dtype) == (np.int32, np.int64)


def test_an_item_and_a_user_nobody_has_met_get_the_stated_defaults(online):
    rows, takes = online.read_items(["r-nobody"]), online.read_user("r-nobody")
    assert rows.codes.tolist() == [[-1, -1, -1, -1]]
    assert (rows.exposure_7d[0], rows.click_7d[0], rows.maturity_tick_ms[0], rows.published_at_ms[0]) == (0, 0, -1, -1)
    assert (len(takes.item_ids), len(takes.event_times_ms), takes.version_ms) == (0, 0, -1)


def test_asking_for_no_item_answers_no_rows(online):
    rows = online.read_items([])
    assert rows.codes.shape == (0, 4)
    assert len(rows.titles) == 0


def test_an_older_row_never_overwrites_a_newer_one(online):
    online.push_maturity(["r-c"], [NOON_MS], [5], [1])
    online.push_maturity(["r-c"], [NOON_MS - 10_000], [4], [1])
    assert online.read_items(["r-c"]).exposure_7d.tolist() == [5]
    online.push_user_history(["r-u"], [["x", "y"]], [[1, 2]], NOON_MS)
    online.push_user_history(["r-u"], [["x"]], [[1]], NOON_MS - 1)
    assert online.read_user("r-u").item_ids.tolist() == ["x", "y"]


def test_of_writers_that_meet_the_newest_row_stays(online, valkey, tmp_path_factory):
    """Eight writers, each with its own connection, push the same items at ticks of any order."""
    items, writers = [f"r-race-{n}" for n in range(20)], 8
    ticks = np.random.default_rng(4).permutation(25 * writers).reshape(writers, 25)
    stores = [OnlineFeatures(FeatureStoreConfig(online.config.home, valkey)) for _ in range(writers)]

    def write(store, mine):
        for tick in mine.tolist():
            store.push_maturity(items, NOON_MS + tick * 10_000, np.full(20, tick), np.full(20, tick))
    threads = [threading.Thread(target=write, args=pair) for pair in zip(stores, ticks, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows, last = online.read_items(items), 25 * writers - 1
    assert rows.exposure_7d.tolist() == rows.click_7d.tolist() == [last] * 20
    assert rows.maturity_tick_ms.tolist() == [NOON_MS + last * 10_000] * 20


@pytest.mark.parametrize("before_ms", [1, 999, 1_000, 127_000, 128_000, 10**9])
def test_times_are_compared_to_the_millisecond(online, before_ms):
    key = f"r-ms-{before_ms}"
    for at_ms, exposure in ((NOON_MS, 1), (NOON_MS - before_ms, 2), (NOON_MS, 3), (NOON_MS + before_ms, 4)):
        online.push_maturity([key], [at_ms], [exposure], [0])
        assert online.read_items([key]).exposure_7d.tolist() == [4 if exposure == 4 else 1]


def test_of_one_push_the_newest_row_of_a_key_stays(online):
    online.push_maturity(["r-d", "r-d", "r-d"], [NOON_MS, NOON_MS + 20_000, NOON_MS + 10_000], [1, 3, 2], [0, 0, 0])
    rows = online.read_items(["r-d"])
    assert (rows.exposure_7d[0], rows.maturity_tick_ms[0]) == (3, NOON_MS + 20_000)


def test_repeating_a_push_changes_nothing(online):
    for _ in range(2):
        online.push_maturity(["r-e"], [NOON_MS], [7], [2])
    assert online.read_items(["r-e"]).click_7d.tolist() == [2]


def test_a_users_takes_come_back_oldest_first_with_their_version(online):
    items, times = [f"i{n}" for n in range(500)], list(range(500))
    online.push_user_history(["r-v"], [items], [times], NOON_MS + 123)
    takes = online.read_user("r-v")
    assert takes.item_ids.tolist() == items
    assert takes.event_times_ms.tolist() == times
    assert takes.version_ms == NOON_MS + 123


def test_a_push_larger_than_a_frame_is_whole(online):
    ids = [f"r-many-{n}" for n in range(12_001)]
    online.push_maturity(ids, NOON_MS, np.arange(12_001), np.zeros(12_001))
    assert online.read_items([ids[0], ids[5_000], ids[-1]]).exposure_7d.tolist() == [0, 5_000, 12_000]


def test_an_empty_push_is_no_push(online):
    online.push_maturity([], [], [], [])
    online.push_semantic_ids([], np.empty((0, 4)), "cb-1", NOON_MS)
    assert online.read_items(["r-never-pushed"]).maturity_tick_ms.tolist() == [-1]


def test_a_title_of_any_alphabet_survives(online):
    online.push_profiles(["r-ü"], [1], ["Größe 3 – 日本茶 'x'"], NOON_MS)
    assert online.read_items(["r-ü"]).titles.tolist() == ["Größe 3 – 日本茶 'x'"]


def test_threads_share_one_object(online):
    online.push_maturity([f"r-t{n}" for n in range(50)], NOON_MS, np.arange(50), np.zeros(50))
    answers = {}

    def ask(n):
        answers[n] = [online.read_items([f"r-t{n}", f"r-t{n + 1}"]).exposure_7d.tolist() for _ in range(20)]
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: [[n, n + 1]] * 20 for n in range(8)}


def test_a_store_that_does_not_answer_is_named_with_its_address(tmp_path, free_port):
    address = f"127.0.0.1:{free_port()}"
    store = OnlineFeatures(FeatureStoreConfig(tmp_path, address))
    store.apply()
    with pytest.raises(EnvironmentFault, match=address):
        store.read_items(["a"])
    with pytest.raises(EnvironmentFault, match="gatesid up"):
        store.push_maturity(["a"], [NOON_MS], [1], [0])


def test_pushing_before_the_definitions_are_deployed_says_how_to(tmp_path):
    with pytest.raises(ArtefactError, match="apply-only"):
        OnlineFeatures(FeatureStoreConfig(tmp_path, "127.0.0.1:1")).push_maturity(["a"], [NOON_MS], [1], [0])


def test_a_registry_that_lacks_a_view_is_refused(tmp_path):
    store = OnlineFeatures(FeatureStoreConfig(tmp_path, "127.0.0.1:1"))
    store.apply()
    store.check()
    store.store.registry.delete_feature_view("item_profile", "gatesid")
    with pytest.raises(ArtefactError, match="lacks the views item_profile: run .*--apply-only"):
        store.check()


def test_feasts_own_read_gives_the_same_rows(online):
    """The layout of the store is Feast's: what it reads itself is the truth."""
    random, ids = np.random.default_rng(3), [f"r-p{n}" for n in range(60)]
    some = [[name for name in ids if random.random() < 0.7] for _ in range(3)]
    online.push_maturity(some[0], NOON_MS + random.integers(0, 999_999, len(some[0])), random.integers(0, 2**40, len(some[0])),
                         np.zeros(len(some[0])))
    online.push_semantic_ids(some[1], random.integers(0, 256, (len(some[1]), 4)), "cb-9", NOON_MS)
    online.push_semantic_ids(some[0], random.integers(0, 256, (len(some[0]), 4)), "cb-10", NOON_MS + 1_000)
    online.push_profiles(some[2], random.integers(0, NOON_MS, len(some[2])), [f"title of {name}" for name in some[2]], NOON_MS)
    feasts = online.store.get_online_features(ranking_v1_items, {"item_id": ids}, full_feature_names=True)
    values = feasts.to_dict()
    rows = online.read_items(ids)
    assert [value or 0 for value in values["item_maturity__exposure_7d"]] == rows.exposure_7d.tolist()
    assert [value or 0 for value in values["item_maturity__click_7d"]] == rows.click_7d.tolist()
    for codebook in ("cb-9", "cb-10"):
        stored = [(codes or [-1] * 4) if version == codebook else [-1] * 4 for place in PLACES.values()
                  for version, codes in zip(values[f"{place.view}__{place.codebook}"], values[f"{place.view}__{place.codes}"],
                                            strict=True)]
        assert np.maximum(stored[:len(ids)], stored[len(ids):]).tolist() == rows.codes_of(codebook).tolist()
    last = ["cb-10" if name in some[0] else "cb-9" if name in some[1] else "" for name in ids]
    assert rows.codebook_version.tolist() == last
    published = values["item_profile__published_at_ms"]
    assert [-1 if value is None else value for value in published] == rows.published_at_ms.tolist()
    assert [value or "" for value in values["item_profile__title"]] == rows.titles.tolist()
    names = list(feasts.proto.metadata.feature_names.val)
    stamps = feasts.proto.results[names.index("item_maturity__exposure_7d")].event_timestamps
    assert [stamp.ToMilliseconds() or -1 for stamp in stamps] == rows.maturity_tick_ms.tolist()


def test_feasts_own_read_gives_the_same_histories(online):
    takes = {"r-h0": ([], []), "r-h1": (["x"], [NOON_MS]), "r-h2": (["größe", "x", "größe"], [-1, 0, 2**40])}
    items, times = zip(*takes.values(), strict=True)
    online.push_user_history(list(takes), items, times, NOON_MS + 7)
    feasts = online.store.get_online_features(ranking_v1_user, {"user_id": [*takes, "r-h-nobody"]})
    values = feasts.to_dict()
    rows = [online.read_user(user) for user in values["user_id"]]
    assert [list(value or []) for value in values["item_ids"]] == [row.item_ids.tolist() for row in rows]
    assert [list(value or []) for value in values["event_times_ms"]] == [row.event_times_ms.tolist() for row in rows]
    stamps = feasts.proto.results[list(feasts.proto.metadata.feature_names.val).index("item_ids")].event_timestamps
    assert [stamp.ToMilliseconds() or -1 for stamp in stamps] == [row.version_ms for row in rows]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_key_of_an_entity_is_feasts_own(online, entity_id):
    key = EntityKey(join_keys=["item_id"], entity_values=[Value(string_val=entity_id)])
    assert online.items.key_of(entity_id) == serialize_entity_key(key, 3) + b"gatesid"


def test_value_that_feast_did_not_write_counts_as_missing_and_is_marked(online):
    online.push_maturity(["r-x", "r-y"], NOON_MS, [5, 6], [1, 2])
    online.push_profiles(["r-x", "r-y"], [NOON_MS, NOON_MS], ["X", "Y"], NOON_MS)
    for name in ("item_profile:published_at_ms", "item_profile:title"):
        online.items.client.hset(online.items.key_of("r-x"), _mmh3(name), b"\xff\xff")
    rows = online.read_items(["r-x", "r-y"])
    assert rows.unreadable.tolist() == [True, False]
    assert (rows.published_at_ms.tolist(), rows.titles.tolist()) == ([-1, NOON_MS], ["", "Y"])
    assert (rows.exposure_7d.tolist(), rows.click_7d.tolist()) == ([5, 6], [1, 2])


def test_key_of_another_type_is_a_fault_and_the_next_read_gets_its_own_answers(online):
    online.push_maturity(["r-w1", "r-w3"], NOON_MS, [1, 3], [0, 0])
    online.items.client.set(online.items.key_of("r-w2"), "no hash")
    with pytest.raises(EnvironmentFault, match="WRONGTYPE"):
        online.read_items(["r-w1", "r-w2", "r-w3"])
    assert online.read_items(["r-w3", "r-w1"]).exposure_7d.tolist() == [3, 1]


def test_store_that_hangs_is_given_up_on_in_time(tmp_path, online):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = OnlineFeatures(FeatureStoreConfig(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", read_timeout_ms=50))
        with pytest.raises(EnvironmentFault, match="Timeout"):
            store.read_items(["r-a"])


def test_connection_that_the_store_closed_is_replaced_unseen(online):
    online.push_maturity(["r-k"], NOON_MS, [9], [0])
    online.read_items(["r-k"])
    online.items.client.client_kill_filter(_type="normal", skipme=False)
    assert online.read_items(["r-k"]).exposure_7d.tolist() == [9]
