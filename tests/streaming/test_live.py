"""The real thing, by its commands: two role processes, `send`, Feast on Valkey, an exported encoder."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import numpy as np
import pytest

from features.artefacts import new_artefact, write_json
from features.catalogue import ItemContent
from features.clock import SystemClock
from features.content import ContentSchema
from features.encoder import ContentEncoder
from features.fusion import FusionConfig, weight_shapes
from features.layout import Layout
from features.retrieval import FeatureStoreConfig, OnlineFeatures
from features.text_vectors import TEXT_MODEL

pytestmark = [pytest.mark.kafka, pytest.mark.feast]
ROOT = Path(__file__).resolve().parents[2]


def make_codebook(folder):
    """A codebook version of random weights: what it says of an item is arbitrary, and always the same."""
    rng, config, schema = np.random.default_rng(7), FusionConfig(16, 2, 1, 16, 16), ContentSchema(("brand",), (("B",),), 0)
    with new_artefact(folder, kind="codebook", encoder="enc-1") as draft:
        arrays = {f"encoder.{name}": rng.normal(size=shape) for name, shape in weight_shapes(config, schema).items()}
        arrays |= {"rqvae.input_mean": np.zeros(16), "rqvae.input_scale": np.ones(16),
                   "rqvae.in_kernel": rng.normal(size=(16, 8)),
                   "rqvae.in_bias": np.zeros(8), "rqvae.out_kernel": rng.normal(size=(8, 64)), "rqvae.out_bias": np.zeros(64),
                   "codebooks": rng.normal(size=(4, 256, 64))}
        for name, array in arrays.items():
            np.save(draft.path / f"{name}.npy", array.astype(np.float32))
        write_json(draft.path / "encoder.json", {"text_model": TEXT_MODEL, "fusion": vars(config), "schema": {
            "fields": schema.fields, "values": schema.values, "vector_width": 0}})


@pytest.fixture
def live(tmp_path, broker, valkey, free_port):
    """live(*arguments): start `python -m streaming …`; everything is ended with SIGTERM."""
    env = os.environ | {
        "GATESID_HOME": str(tmp_path), "GATESID_KAFKA": broker, "GATESID_VALKEY": valkey, "PYTHONUNBUFFERED": "1",
        "GATESID_STREAM__GROUP": f"live-{uuid.uuid4().hex[:8]}", "GATESID_STREAM_METRICS": f"127.0.0.1:{free_port()}"}
    started = []

    def start(*arguments):
        process = subprocess.Popen([sys.executable, "-m", "streaming", *arguments], cwd=ROOT, env=env, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        started.append(process)
        return process
    start.metrics = env["GATESID_STREAM_METRICS"]
    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in started:
        process.communicate(timeout=20)


def test_a_product_is_born_and_clicked_and_both_are_readable_online(live, tmp_path, broker, valkey, wait_until):
    layout, item_id, born = Layout(tmp_path), f"new-{uuid.uuid4().hex[:6]}", SystemClock().now_ms()
    online = OnlineFeatures(FeatureStoreConfig(tmp_path, valkey))
    online.apply()
    make_codebook(layout.codebook("cb-1"))
    roles = [live("run", "--role", "catalog", "--metrics", "off"), live("run", "--role", "maturity")]
    sender = live("send")
    ready = [layout.home / "run" / f"stream-{role}.ready" for role in ("catalog", "maturity")]
    assert wait_until(lambda: all(file.is_file() for file in ready), 240), [role.poll() for role in roles]
    item = {"item_id": item_id, "title": "Rolled oats 500 g", "published_at": born, "attributes": {"brand": "B"}}

    def send(record):
        sender.stdin.write(json.dumps(record) + "\n")
        sender.stdin.flush()
        assert item_id in sender.stdout.readline()

    send(item)
    assert wait_until(lambda: online.read_items([item_id]).titles[0] == "Rolled oats 500 g", 60)
    assert online.read_items([item_id]).codebook_version[0] == ""  # no codebook is live yet
    write_json(layout.live_codebook_file, {"version": "cb-1"})
    expected = ContentEncoder.load(layout.codebook("cb-1")).codes([ItemContent(item["title"], item["attributes"])])[0]
    assert wait_until(lambda: online.read_items([item_id]).codes[0].tolist() == expected.tolist())
    second = item | {"item_id": item_id + "-b"}
    send(second)
    assert wait_until(lambda: min(online.read_items([second["item_id"]]).codes[0]) >= 0, 5)

    send({"event_id": f"e-{item_id}", "event_type": "click", "user_id": f"u-{item_id}", "item_id": item_id,
          "event_time": SystemClock().now_ms()})
    assert wait_until(lambda: online.read_items([item_id]).click_7d[0] == 1)
    assert online.read_user(f"u-{item_id}").item_ids.tolist() == [item_id]
    with urllib.request.urlopen(f"http://{live.metrics}/metrics") as page:
        assert 'gatesid_stream_events_total{outcome="counted",role="maturity"} 1.0' in page.read().decode()
    assert "role catalog: ready" in live("status").communicate(timeout=30)[0]
    for role in roles:
        role.send_signal(signal.SIGTERM)
        role.communicate(timeout=10)
        assert role.returncode == 0
    assert not any(file.exists() for file in ready)


def test_of_two_records_of_an_item_the_older_never_wins_not_even_when_it_is_read_again(live, tmp_path, valkey, wait_until):
    """ log   oats "A" · oats "B"        role 1 reads A, B · killed · role 2 reads A, B from the beginning"""
    layout, item_id = Layout(tmp_path), f"twice-{uuid.uuid4().hex[:6]}"
    online = OnlineFeatures(FeatureStoreConfig(tmp_path, valkey))
    online.apply()
    make_codebook(layout.codebook("cb-1"))
    write_json(layout.live_codebook_file, {"version": "cb-1"})
    sender, role = live("send"), live("run", "--role", "catalog", "--metrics", "off")

    def send(item, title):
        sender.stdin.write(json.dumps({"item_id": item, "title": title, "published_at": 1_767_225_600_000}) + "\n")
        sender.stdin.flush()
        assert item in sender.stdout.readline()

    def title():
        return online.read_items([item_id]).titles[0]

    send(item_id, "A")
    assert wait_until(lambda: title() == "A" and min(online.read_items([item_id]).codes[0]) >= 0, 120)
    codes = online.read_items([item_id]).codes[0].tolist()
    send(item_id, "B")
    assert wait_until(lambda: title() == "B", 60)
    role.kill()
    role.communicate()
    live("run", "--role", "catalog", "--metrics", "off")
    seen = set()
    send(f"{item_id}-last", "read again up to here")
    assert wait_until(lambda: seen.add(title()) or online.read_items([f"{item_id}-last"]).titles[0] != "", 120)
    assert seen == {"B"}
    assert online.read_items([item_id]).codes[0].tolist() == codes  # of the first title: a published SID never moves
