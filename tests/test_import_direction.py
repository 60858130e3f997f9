"""The rooms import in one direction (CONVENTIONS: rooms), read from the import statements."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "spark_jobs", "streaming", "model", "serving", "dags", "infra")
MAY_IMPORT = {
    "features": set(), "spark_jobs": {"features"}, "streaming": {"features"}, "model": {"features"},
    "serving": {"features", "model"}, "dags": {"features"}, "infra": {"features"},
}
# A heavy library may be imported in these rooms (or files) and nowhere else.
HEAVY = {
    "pyspark": {"spark_jobs"}, "delta": {"spark_jobs"},
    "kafka": {"streaming/kafka_io.py", "streaming/group_consumer.py"},
    "tensorflow": {"model", "serving"}, "tf_keras": {"model", "serving"}, "tensorflow_recommenders": {"model"},
    "tensorflow_serving": {"serving"},
    "airflow": {"dags"},
    "feast": {"features/retrieval.py", "features/feast_config.py", "features/online_reader.py", "features/stored_values.py",
              "features/asof_store.py", "features/newest_wins_store.py", "features/repo"},
    "great_expectations": {"features/expectations.py"},
    "wordllama": {"features/text_vectors.py"},
}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def is_entry_point(tree) -> bool:
    """A module with `if __name__ == "__main__"`, or called __main__.py: it may read infra.settings."""
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_at_features(path):
    tree = ast.parse(path.read_text())
    place = path.relative_to(ROOT).as_posix()
    room = place.split("/")[0]
    names = set(imported(tree))
    allowed = MAY_IMPORT[room] | {room}
    if path.name == "__main__.py" or is_entry_point(tree):
        allowed = allowed | {"infra"}
    assert not (names & set(ROOMS)) - allowed, f"{place} may import {sorted(allowed)}"
    for library, homes in HEAVY.items():
        if library in names:
            assert any(place == home or place.startswith(home + "/") for home in homes), f"{place} imports {library}"
