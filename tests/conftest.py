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
