"""The catalogue role: profiles at once, SIDs by the live codebook, one SID per item and version."""

import hashlib
import json
import uuid

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.artefacts import write_json
from features.clock import FixedClock, from_ms
from features.errors import ArtefactError
from streaming.config import StreamConfig
from streaming.kafka_io import Records, TopicPart
from streaming.new_items import CatalogRole
from streaming.report import Report
from streaming.valkey_store import connect

T0 = 1_767_225_600_000
PART = TopicPart("catalog", 0)


class Encoder:
    """A SID of the content alone, -1 without content; another one in another version. It takes no vectors."""

    def __init__(self, version):
        if version == "cb-broken":
            raise ArtefactError("no manifest.json")
        self.version = version

    def codes(self, items):
        return np.array([[-1] * 4 if item.is_empty() else list(hashlib.sha256(f"{self.version}{item}".encode()).digest()[:4])
                         for item in items], np.int32).reshape(-1, 4)


    def faults(self, items):
        return {n: "vector of 1 number" for n, item in enumerate(items) if item.vector is not None}


class Online:
    def __init__(self):
        self.order, self.profiles, self.sids, self.pushes = {}, {}, {}, 0

    def push_profiles(self, item_ids, published_at_ms, titles, at_ms, within_ms):
        for item, published, title, *at in zip(item_ids, published_at_ms, titles, at_ms, within_ms, strict=True):
            if at > self.order.get(item, [-1]):
                self.order[item], self.profiles[item] = at, (at[0], published, title)

    def push_semantic_ids(self, item_ids, codes, codebook_version, at_ms):
        self.pushes += 1
        for item, row in zip(item_ids, codes, strict=True):
            self.sids[item] = (codebook_version, row.tolist())


class Letters:
    def __init__(self):
        self.sent = []

    def send(self, part, records, rejected):
        self.sent += rejected


class Catalogue:
    """The role without Kafka: records are handed in."""

    def __init__(self, home, valkey):
        self.config = StreamConfig(home, "nowhere:1", f"redis://{valkey}", f"test-{uuid.uuid4().hex}")
        self.online, self.letters, self.offset, self.log = Online(), Letters(), 0, []
        self.role = self.restart()

    def restart(self):
        self.role = CatalogRole(self.config, connect(self.config.valkey_url), self.online, lambda folder: Encoder(folder.name),
                                self.letters, Report(self.config, "catalog"), FixedClock(from_ms(T0)))
        self.role.on_assigned([PART])
        return self.role

    def go_live(self, version):
        self.config.layout.live_codebook_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.config.layout.live_codebook_file, {"version": version})
        self.role.looked = -1
        return self.role.settle(True)

    def publish(self, *items):
        values = [item if isinstance(item, bytes) else json.dumps({"published_at": T0} | item).encode() for item in items]
        keys = [b"bad" if isinstance(item, bytes) else item["item_id"].encode() for item in items]
        self.log = list(zip(keys, values, strict=True))
        self.again()

    def again(self):
        n, self.offset = len(self.log), self.offset + len(self.log)
        self.role.handle(PART, Records(np.arange(self.offset - n, self.offset), np.arange(T0, T0 + n),
                                       [key for key, _ in self.log], [value for _, value in self.log]))


@pytest.fixture
def catalogue(tmp_path, valkey):
    return Catalogue(tmp_path, valkey)


def test_before_a_codebook_is_live_profiles_are_pushed_and_items_wait(catalogue, capsys):
    catalogue.publish({"item_id": "a", "title": "Oats"})
    assert catalogue.online.profiles["a"] == (T0, T0, "Oats")
    assert catalogue.online.sids == {}
    catalogue.go_live("cb-1")
    version, codes = catalogue.online.sids["a"]
    assert version == "cb-1"
    assert min(codes) >= 0


def test_a_waiting_item_survives_a_restart(catalogue):
    catalogue.publish({"item_id": "a", "title": "Oats"})
    catalogue.restart()
    assert catalogue.role.on_assigned([PART]) == {PART: None}  # from the beginning
    catalogue.again()
    catalogue.go_live("cb-1")
    assert "a" in catalogue.online.sids


def test_an_edited_title_keeps_its_sid_but_not_its_profile(catalogue):
    catalogue.go_live("cb-1")
    catalogue.publish({"item_id": "a", "title": "Oats"})
    first = catalogue.online.sids["a"]
    catalogue.publish({"item_id": "x", "title": "filler"}, {"item_id": "a", "title": "Rolled oats"})
    assert catalogue.online.sids["a"] == first
    assert catalogue.online.profiles["a"][2] == "Rolled oats"
    catalogue.restart()
    catalogue.publish({"item_id": "a", "title": "Oats, rolled"})
    assert catalogue.online.sids["a"] == first


def test_records_of_one_millisecond_in_several_batches_keep_their_order_also_when_read_again(catalogue):
    batches = [[{"item_id": "a", "title": "old"}], [{"item_id": "a", "title": "new"}],  # both at T0
               [{"item_id": "b", "title": "Peas"}, {"item_id": "a", "title": "newest"}]]  # at T0 and T0 + 1
    seen = []
    for _ in range(2):
        for batch in batches:
            catalogue.publish(*batch)
            seen.append(catalogue.online.profiles["a"][2])
        catalogue.restart()
    assert seen == ["old", "new", "newest", "newest", "newest", "newest"]


def test_without_content_the_codes_are_missing_until_content_comes(catalogue):
    catalogue.go_live("cb-1")
    catalogue.publish({"item_id": "a"})
    assert catalogue.online.sids["a"] == ("cb-1", [-1] * 4)
    catalogue.publish({"item_id": "a", "title": "Oats"})
    assert min(catalogue.online.sids["a"][1]) >= 0


def test_what_the_nightly_job_published_stays(catalogue):
    columns = {"item_id": ["a", "b"], "codes": pa.array([[1, 2, 3, 4], [-1] * 4], pa.list_(pa.int32())),
               "codebook_version": ["cb-1", "cb-1"]}
    write_deltalake(str(catalogue.config.layout.table("semantic_ids")), pa.table(columns), partition_by=["codebook_version"])
    catalogue.go_live("cb-1")
    catalogue.publish({"item_id": "a", "title": "Oats"}, {"item_id": "b", "title": "Peas"})
    assert catalogue.online.sids["a"] == ("cb-1", [1, 2, 3, 4])
    assert min(catalogue.online.sids["b"][1]) >= 0


def test_a_new_live_codebook_reads_the_catalogue_again(catalogue):
    catalogue.go_live("cb-1")
    catalogue.publish({"item_id": "a", "title": "Oats"})
    old = catalogue.online.sids["a"]
    assert catalogue.go_live("cb-1") == {}
    assert catalogue.go_live("cb-2") == {PART: None}
    catalogue.again()
    assert catalogue.online.sids["a"][0] == "cb-2"
    assert catalogue.online.sids["a"] != old


def test_a_broken_live_codebook_leaves_the_one_before_at_work(catalogue, capsys):
    catalogue.go_live("cb-1")
    assert catalogue.go_live("cb-broken") == {}
    catalogue.publish({"item_id": "a", "title": "Oats"})
    assert catalogue.online.sids["a"][0] == "cb-1"
    assert "going on with cb-1" in capsys.readouterr().out


def test_a_damaged_live_file_leaves_the_codebook_before_at_work(catalogue, capsys):
    catalogue.go_live("cb-1")
    catalogue.config.layout.live_codebook_file.write_text("{")
    catalogue.role.looked = float("-inf")
    assert catalogue.role.settle(idle=True) == {}
    catalogue.publish({"item_id": "a", "title": "Oats"})
    assert catalogue.online.sids["a"][0] == "cb-1"
    assert "must be JSON with a version: publish a codebook again: going on with cb-1" in capsys.readouterr().out


def test_an_item_that_cannot_be_encoded_has_a_profile_and_no_sid(catalogue):
    catalogue.go_live("cb-1")
    catalogue.publish({"item_id": "a", "title": "Oats", "vector": [1.0]}, {"item_id": "b", "title": "Peas"})
    assert catalogue.online.sids["a"] == ("cb-1", [-1] * 4)
    assert min(catalogue.online.sids["b"][1]) >= 0
    assert catalogue.online.profiles["a"][2] == "Oats"
    assert catalogue.role.report.progress.outcomes["not_encodable"] == 1


def test_bad_items_are_buried_and_the_last_record_of_an_item_counts(catalogue):
    catalogue.go_live("cb-1")
    catalogue.publish(b"{poison", {"item_id": "a", "title": "old"}, {"item_id": "a", "title": "new"})
    assert [letter.reason for letter in catalogue.letters.sent] == ["malformed"]
    assert catalogue.online.profiles["a"][2] == "new"
    assert catalogue.online.pushes == 1
