"""Fixtures that several rooms share."""

import json
import os
import re
import socket
from pathlib import Path

import prometheus_client  # noqa: F401  Before Feast, whose import makes its counters shared by the whole process.
import pytest

# Scratch that libraries write goes where all state goes.
ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / "var" / "hypothesis"))


def pytest_ignore_collect(collection_path, config):
    """A file that its own mark deselects is not imported: TensorFlow and Feast take seconds before any test is chosen."""
    left_out = re.fullmatch(r"not \((.+)\)", config.getoption("-m") or "")
    if left_out and collection_path.suffix == ".py":
        marks = " ".join(re.findall(r"^pytestmark = (.+)$", collection_path.read_text(), re.MULTILINE))
        if set(re.findall(r"pytest\.mark\.(\w+)", marks)) & set(left_out[1].split(" or ")):
            return True
    return None


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Numbers from an independent implementation; another folder of the same form by GOLDEN_DIR."""
    return Path(os.environ.get("GOLDEN_DIR", ROOT / "tests" / "golden"))


@pytest.fixture(scope="session")
def load_golden(golden_dir):
    """load_golden("gate") -> the cases of gate.json."""
    return lambda name: json.loads((golden_dir / f"{name}.json").read_text())["cases"]


@pytest.fixture(scope="session")
def free_port():
    """free_port() -> a loopback port nobody listens on."""
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]
    return find


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """host:port of a real Kafka broker with the project's topics, for the whole run."""
    from infra.broker import running_broker

    with running_broker(tmp_path_factory.mktemp("broker")) as address:
        yield address


@pytest.fixture(scope="session")
def valkey(tmp_path_factory):
    """host:port of a real Valkey server, for the whole run; tests keep apart by their own key prefixes."""
    from infra.valkey import running_valkey

    with running_valkey(tmp_path_factory.mktemp("valkey")) as address:
        yield address


@pytest.fixture(scope="session")
def delta_jars() -> list[Path]:
    """The jars with which Spark reads and writes Delta tables, fetched once into the checkout's cache."""
    from infra.jars import delta_jars

    return delta_jars(ROOT / "var")


@pytest.fixture(scope="session")
def write_maturity():
    """write_maturity(home, item_ids, tick_ms, exposure, click): one more version of the table item_maturity_rebuilt."""
    import numpy as np
    import pyarrow as pa
    from deltalake import write_deltalake

    from features.clock import from_ms
    from features.layout import Layout
    from features.names import TABLE_MATURITY_REBUILT

    def write(home, item_ids, tick_ms, exposure, click, mode="append"):
        ticks = np.asarray(tick_ms, np.int64)
        write_deltalake(str(Layout(home).table(TABLE_MATURITY_REBUILT)), pa.table({
            "item_id": pa.array(list(item_ids), pa.string()), "tick": pa.array(ticks * 1000).cast(pa.timestamp("us", tz="UTC")),
            "exposure_7d": np.asarray(exposure, np.int64), "click_7d": np.asarray(click, np.int64),
            "ds": [from_ms(int(tick)).date().isoformat() for tick in ticks]}), partition_by=["ds"], mode=mode)
    return write


@pytest.fixture(scope="session")
def spark(tmp_path_factory, delta_jars):
    """One Spark session for the whole run. Its own scratch lies beside the tests'; tables lie where a test puts them."""
    from types import SimpleNamespace

    from spark_jobs.session import spark_session

    given = SimpleNamespace(master="local[2]", driver_memory="1g", shuffle_partitions=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")  # tests are short: the optimising compiler never pays
        session = spark_session("tests", SimpleNamespace(home=tmp_path_factory.mktemp("spark"), spark=given), delta_jars)
    yield session
    session.stop()


HEALTHY = {
    "levels": [{"used": 250, "usable": 256, "coverage": 0.98, "dead_codes": 6, "perplexity": 220.0,
                "perplexity_share": 0.86}] * 4,
    "collision_rate_items": 0.2, "collision_rate_contents": 0.1, "largest_bucket_items": 5, "largest_bucket_contents": 3,
    "explained_variance": 0.9, "co_click": {"hit_at_30": {"encoder": 0.02}, "pair_auc": {"encoder": 0.6}},
    "limits": {"min_coverage": 0.5, "min_level_1_perplexity": 0.3, "max_collision_rate_contents": 0.5}}


@pytest.fixture(scope="session")
def write_codebook():
    """write_codebook(layout, version, levels=4, arrays={name: values}): a whole codebook folder of small arrays, those given
    among them; the rest goes into its manifest."""
    import numpy as np

    from features.artefacts import new_artefact
    from features.catalogue import ItemContent
    from features.content import learn_schema, schema_to_json
    from features.fusion import FusionConfig, weight_shapes
    from features.text_vectors import TEXT_MODEL

    def write(layout, version, levels=4, arrays=None, **manifest):
        schema, config = learn_schema([ItemContent("oats", {})]), FusionConfig(8, 2, 1, 8, 8)
        given = {"as_of": "2026-11-22", "encoder": "enc-1", "health": HEALTHY} | manifest
        with new_artefact(layout.codebook(version), kind="codebook", **given) as draft:
            (draft.path / "encoder.json").write_text(json.dumps(
                {"text_model": TEXT_MODEL, "fusion": config.__dict__, "schema": schema_to_json(schema)}))
            shapes = {f"encoder.{name}": shape for name, shape in weight_shapes(config, schema).items()}
            shapes |= {"rqvae.input_mean": (8,), "rqvae.input_scale": (8,), "rqvae.in_kernel": (8, 4), "rqvae.in_bias": (4,),
                       "rqvae.out_kernel": (4, 2), "rqvae.out_bias": (2,), "codebooks": (levels, 256, 2)}
            for name, shape in shapes.items():
                np.save(draft.path / f"{name}.npy", np.ones(shape, np.float32))
            for name, values in (arrays or {}).items():
                np.save(draft.path / f"{name}.npy", np.asarray(values, np.float32))

    return write
