"""A tiny ranker, exported for real, and servers over it."""

import os
import shutil
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import serving  # noqa: F401  (chooses the Keras version, before anything imports TensorFlow)
from features.artefacts import new_artefact
from features.layout import Layout
from features.online_rows import ItemRows, UserTakes
from features.spec import contract_hash

ITEMS, USERS, WIDTH = 40, 12, 4
CODEBOOK = "cb-2026-01-01"
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, a Thursday


def tiny_ranker(bias: float = 0.0, gate: bool = True):
    """A ranker that reads every input; `bias` tells versions apart. Tables of ITEMS and USERS rows."""
    import tensorflow as tf

    class TinyRanker(tf.Module):
        def __init__(self):
            super().__init__()
            random = np.random.default_rng(7)
            self.sizes = SimpleNamespace(items=ITEMS, users=USERS)
            self.items = tf.Variable(random.normal(size=(ITEMS, WIDTH)), dtype=tf.float32)
            self.users = tf.Variable(random.normal(size=(USERS, WIDTH)), dtype=tf.float32)
            self.optimiser_slots = tf.Variable(tf.zeros([5_000, WIDTH]))

        def score(self, features):
            item, user = tf.gather(self.items, features["item_row"]), tf.gather(self.users, features["user_row"])
            taken = tf.cast(features["history_rows"] > 0, tf.float32)[..., tf.newaxis]
            history = tf.reduce_sum(tf.gather(self.items, features["history_rows"]) * taken, axis=1)
            codes = tf.cast(tf.reduce_sum(features["item_codes"], axis=1), tf.float32) / 1_000
            codes += tf.cast(tf.reduce_sum(features["history_codes"], axis=[1, 2]), tf.float32) / 50_000
            stats = tf.math.log1p(tf.maximum(features["item_stats"], 0))
            clock = tf.cast(features["hour_of_day"] + features["day_of_week"], tf.float32) / 100
            repeat = features["repeat_count"] / 10 + features["repeat_age_days"] / 100
            logit = tf.reduce_sum(item * (user + history / 50), axis=1) / 4 + codes + clock + repeat + bias
            scores = {"ctr": tf.sigmoid(logit), "ctcvr": tf.sigmoid(logit) * 0.5}
            return scores | ({"semantic_weight": tf.sigmoid(1 - tf.reduce_mean(stats, axis=1))} if gate else {})

    return TinyRanker()


def item_ids(count: int = ITEMS - 2) -> list[str]:
    return [f"i{n}" for n in range(count)]


@pytest.fixture(scope="session")
def tiny():
    return tiny_ranker


@pytest.fixture(scope="session")
def export_tiny():
    """export_tiny(folder, bias=0.0, **manifest) -> the folder: a whole model artefact of a tiny ranker."""
    def export(folder: Path, bias: float = 0.0, gate: bool = True, **manifest) -> Path:
        from serving.entity_index import EntityIndex
        from serving.export import fill

        known = dict(version=int(folder.name), ranker="tiny", seed=1, as_of="2026-01-01", codebook_version=CODEBOOK,
                     contract_hash=contract_hash())
        with new_artefact(folder, kind="model", **(known | manifest)) as draft:
            fill(draft, tiny_ranker(bias, gate), EntityIndex(item_ids(), np.arange(2, ITEMS)),
                 EntityIndex([f"u{n}" for n in range(USERS - 2)], np.arange(2, USERS)))
        return folder

    return export


@pytest.fixture(scope="session")
def exported(export_tiny, tmp_path_factory):
    """One exported model, to be copied: {home}/models/tiny/2026010101."""
    layout = Layout(tmp_path_factory.mktemp("exported"))
    export_tiny(layout.model("tiny", 2026010101))
    return layout


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """serve(root, **config) -> a ModelServer not yet entered, which watches its folder ten times a second."""
    def make(root: Path, **config):
        from serving.model_server import ModelServer, ModelServerConfig

        lines: list[str] = []
        server = ModelServer(ModelServerConfig(root, root.parent / "live.json", watch_seconds=0.1, **config), lines.append)
        server.lines = lines
        return server

    return make


def eventually(holds, seconds: float = 20.0):
    """The first true answer of `holds()`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := holds():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s")


@pytest.fixture(scope="session")
def wait_until():
    return eventually


class FakeStore:
    """An online store in memory: what `OnlineFeatures` reads, for items i0… of which some lack this or that."""

    def __init__(self, items: dict[str, dict], takes: dict[str, list[tuple[str, int]]]):
        self.items, self.takes, self.reads = items, takes, []

    def read_items(self, item_ids):
        self.reads.append(list(item_ids))
        rows = [self.items.get(item, {}) for item in item_ids]

        def column(name, missing, dtype):
            return np.array([row.get(name, missing) for row in rows], dtype)

        return ItemRows(
            item_ids=np.array(item_ids, object), codes=column("codes", [-1] * 4, np.int32).reshape(-1, 4),
            codebook_version=column("codebook_version", "", object),
            other_codes=column("other_codes", [-1] * 4, np.int32).reshape(-1, 4),
            other_codebook=column("other_codebook", "", object), exposure_7d=column("exposure_7d", 0, np.int64),
            click_7d=column("click_7d", 0, np.int64), maturity_tick_ms=column("maturity_tick_ms", -1, np.int64),
            published_at_ms=column("published_at_ms", -1, np.int64), titles=column("title", "", object),
            unreadable=column("unreadable", False, bool))

    def read_user(self, user_id):
        takes = self.takes.get(user_id, [])
        return UserTakes(np.array([item for item, _ in takes], object), np.array([ms for _, ms in takes], np.int64),
                         NOW_MS if takes else -1)


@pytest.fixture
def store():
    return filled_store()


def filled_store() -> FakeStore:
    """Items i0…i37 with a SID, a title, an age of n days and 10 n impressions; user u0 took i1, i2, i1."""
    day = 86_400_000
    items = {
        item: dict(codes=[n, n + 1, n + 2, n + 3], codebook_version=CODEBOOK, exposure_7d=10 * n, click_7d=n,
                   maturity_tick_ms=NOW_MS - 10_000, published_at_ms=NOW_MS - n * day, title=f"Oats {n}")
        for n, item in enumerate(item_ids())
    }
    return FakeStore(items, {"u0": [("i1", NOW_MS - 3 * day), ("i2", NOW_MS - 2 * day), ("i1", NOW_MS - day)]})


@pytest.fixture(scope="session")
def serve_api(exported, serve, tmp_path_factory):
    """serve_api(store, **config) -> within it, the address of a ranking API that answers from a real model and that store."""
    from features.clock import FixedClock, from_ms
    from serving.client import ModelClient
    from serving.http_server import HttpServer
    from serving.rank import RankingService
    from serving.ranking_api import ApiConfig, RankingApi
    from serving.served_model import ModelFollower

    root = tmp_path_factory.mktemp("api") / "serving"
    shutil.copytree(exported.model("tiny", 2026010101), root / "ranker" / "2026010101")

    @contextmanager
    def served(store, **config):
        with serve(root) as models, ExitStack() as stack:
            client = ModelClient(models.grpc_address, "ranker", 10_000)
            stack.callback(client.close)
            follower = ModelFollower(root / "ranker", client.answering_version)
            service = RankingService(store, follower, client, FixedClock(from_ms(NOW_MS)), deadline_ms=10_000)
            follower.follow()
            api = RankingApi(service, ApiConfig(**config), lambda record: None)
            yield "http://" + stack.enter_context(HttpServer(api.app(), "127.0.0.1", 0)).address

    return served


@pytest.fixture(scope="session")
def real_tf_serving():
    """Addresses of a real TF Serving that polls TF_SERVING_MODEL_BASE as model `ranker`, or None."""
    if "TF_SERVING_ADDRESS" not in os.environ:
        return None
    return SimpleNamespace(grpc_address=os.environ["TF_SERVING_ADDRESS"], rest_address=os.environ["TF_SERVING_REST_ADDRESS"],
                           base=Path(os.environ["TF_SERVING_MODEL_BASE"]))
