"""SIDs for the items that have none: append-only within a codebook version."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from features.artefacts import new_artefact
from features.errors import ArtefactError
from features.names import TABLE_ITEM_VECTORS, TABLE_SEMANTIC_IDS
from spark_jobs import sid_assignment
from spark_jobs.sid_assignment import encode_batch

OATS, RYE = '{"brand": "National"}', '{"brand": "Private"}'


@dataclass
class TinyEncoder:
    """A stand-in with the encoder's interface: the vector is the length of the title, the codes are its first letter."""

    version: str = "cb-1"
    encoder_version: str = "enc-1"

    def faults(self, items):
        return {n: "vector must have 2 numbers, got shape (1,)" for n, item in enumerate(items) if item.vector is not None}

    def encode(self, items):
        titles = [item.title or "" for item in items]
        vectors = np.array([[len(title)] for title in titles], np.float32).reshape(len(items), 1)
        codes = np.array([[ord(title[0]) if title else -1] * 4 for title in titles], np.int32).reshape(len(items), 4)
        return vectors, codes


def batch(*rows):
    names = ("item_id", "title", "attributes", "vector")
    return pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=pa.schema([
        ("item_id", pa.string()), ("title", pa.string()), ("attributes", pa.string()), ("vector", pa.list_(pa.float32()))]))


def test_each_item_gets_vector_and_codes_or_the_reason_why_not():
    rows = encode_batch(TinyEncoder(), batch(
        ("i1", "Oats", OATS, None), ("i2", None, None, None), ("i3", "Rye", "no json", None),
        ("i4", "Rye", RYE, [1.0]))).to_pylist()
    assert [(row["item_id"], row["vector"], row["codes"]) for row in rows] == [
        ("i1", [4.0], [79] * 4), ("i2", None, None), ("i3", None, None), ("i4", None, None)]
    assert [row["fault"] for row in rows] == [
        None, "no content", "attributes are no JSON object", "vector must have 2 numbers, got shape (1,)"]


@pytest.fixture
def codebook(home, monkeypatch):
    """An encoder in place of the folder's own; the folder is there, whole."""
    with new_artefact(home.layout.codebook("cb-1"), kind="codebook"):
        pass
    monkeypatch.setattr(sid_assignment.ContentEncoder, "load", classmethod(lambda cls, folder: TinyEncoder(folder.name)))
    monkeypatch.setattr(sid_assignment, "encoded", encoded_here)


def encoded_here(items, load):
    """What `encoded` does, in this process: a worker would load the encoder for itself and not see the stand-in."""
    table = items.select("item_id", "title", "attributes", "vector").toArrow().combine_chunks()
    found = [encode_batch(load(), part) for part in table.to_batches()]
    return items.sparkSession.createDataFrame(pa.Table.from_batches(found), sid_assignment.ENCODED_SCHEMA)


def item(item_id, title, known, attributes=None, vector=None):
    return (item_id, title, attributes, "01-01 00:00", vector, known)


@pytest.mark.spark
def test_a_published_sid_never_moves_and_a_new_item_gets_one(home, codebook):
    home.add_items([item("i1", "Oats", "01-01 00:00"), item("i2", None, "01-01 00:00"), item("i3", "Rye", "01-04 00:00")])
    first = home.run_all(sid_assignment, "2026-01-03", codebook="cb-1")
    assert first.rows == {"in": 2, "out": 2, "rejected": {"no content": 1}}
    columns = ("item_id", "codes", "codebook_version")
    assert home.rows(TABLE_SEMANTIC_IDS, *columns) == [("i1", [79] * 4, "cb-1")]
    assert home.rows(TABLE_ITEM_VECTORS, "item_id", "vector", "encoder_version") == [("i1", [4.0], "enc-1")]

    again = home.run_all(sid_assignment, "2026-01-03", codebook="cb-1")
    assert (again.writes, again.rows["out"]) == ({}, 0)

    home.add_items([item("i1", "Wheat", "01-05 00:00"), item("i2", "Barley", "01-05 00:00")])
    home.run_all(sid_assignment, "2026-01-06", codebook="cb-1")
    assert home.rows(TABLE_SEMANTIC_IDS, *columns) == [
        ("i1", [79] * 4, "cb-1"), ("i2", [66] * 4, "cb-1"), ("i3", [82] * 4, "cb-1")]


@pytest.mark.spark
def test_a_half_written_codebook_is_refused(home):
    home.layout.codebook("cb-9").mkdir(parents=True)
    with pytest.raises(ArtefactError, match="absent or half-written"):
        home.run_all(sid_assignment, "2026-01-03", codebook="cb-9")
