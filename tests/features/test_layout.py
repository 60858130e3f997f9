"""Where things lie, and the newest version of a table."""

import pytest

from features.errors import ArtefactError
from features.layout import Layout, table_version


def test_the_newest_commit_is_the_version(tmp_path):
    log = tmp_path / "_delta_log"
    log.mkdir()
    for name in ("00000000000000000000.json", "00000000000000000011.json", "00000000000000000010.checkpoint.parquet"):
        (log / name).touch()
    assert table_version(tmp_path) == 11


def test_an_absent_table_says_what_to_do(tmp_path):
    with pytest.raises(ArtefactError, match="run the job that writes it first"):
        table_version(Layout(tmp_path).table("events"))
