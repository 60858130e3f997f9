"""The nightly SIDs from a standalone cluster by spark-submit: those that one process gives, byte for byte."""

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.catalogue import ItemContent
from features.clock import from_ms
from features.encoder import ContentEncoder
from features.layout import Layout
from tests.features.test_encoder import write as write_encoder
from tests.spark_jobs.conftest import ITEM_SCHEMA, ms
from tests.spark_jobs.standalone_cluster import standalone_cluster, submit

pytestmark = pytest.mark.spark
COUNT = 1_000


def test_a_cluster_of_two_workers_gives_the_sids_that_one_process_gives(tmp_path, delta_jars):
    layout, known = Layout(tmp_path / "home"), from_ms(ms("01-01 00:00"))
    items = [ItemContent(f"oats {n % 700} g", {}, [n / COUNT, 1.0, -n / 7]) for n in range(COUNT)] + [ItemContent(None, {})]
    write_deltalake(str(layout.table("items")), pa.Table.from_pylist([
        {"item_id": f"i{n}", "title": item.title, "vector": item.vector, "published_at": known, "ingest_time": known,
         "source": "kafka", "partition": 0, "offset": n} for n, item in enumerate(items)], schema=ITEM_SCHEMA))
    encoder = ContentEncoder.load(write_encoder(layout.codebook("cb-1"), kind="codebook"))
    with standalone_cluster(tmp_path) as master:
        done = submit(master, tmp_path, layout.home, delta_jars,
                      "sid_assignment", "--as-of", "2026-01-03", "--codebook", "cb-1")
        assert done == "semantic_ids@0"
        ran = ["Asked to launch executor" in log.read_text() for log in tmp_path.glob("worker-*.log")]
    assert ran == [True, True]
    rows = DeltaTable(str(layout.table("semantic_ids"))).to_pyarrow_table(columns=["item_id", "codes"]).to_pylist()
    assert len(rows) == COUNT
    expected = encoder.codes(items)
    given = np.array([row["codes"] for row in sorted(rows, key=lambda row: int(row["item_id"][1:]))], np.int32)
    assert given.tobytes() == expected[:COUNT].tobytes()
    assert (expected[COUNT:] == -1).all()
