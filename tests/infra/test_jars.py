"""Jars are fetched once, whole and known, or not at all."""

import subprocess
from pathlib import Path

import pytest

from features.errors import EnvironmentFault
from infra import jars
from infra.jars import DELTA, KAFKA, cache_folder, ensure, is_whole

CONTENT = {"a-1.jar": b"first", "b-2.jar": b"second"}
SMALL = jars.JarSet("small", (("org", "a", "1"),), transitive=False)
# sha256sum of the two contents above
SUMS = """a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e  small/a-1.jar
16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4  small/b-2.jar
"""


class Ivy:
    """Stands for a run of Ivy that leaves `files`; counts its runs."""

    def __init__(self, files):
        self.files, self.runs = files, 0

    def __call__(self, jar_set, work, into):
        self.runs += 1
        for name, content in self.files.items():
            (into / name).write_bytes(content)


@pytest.fixture
def ivy(monkeypatch, tmp_path):
    stand_in = Ivy(dict(CONTENT))
    monkeypatch.setattr(jars, "run_ivy", stand_in)
    (tmp_path / "jars.sha256").write_text(SUMS)
    monkeypatch.setattr(jars, "CHECKSUMS", tmp_path / "jars.sha256")
    monkeypatch.setattr(jars, "CHECKOUT", tmp_path / "checkout")
    return stand_in


def test_a_second_fetch_does_nothing(ivy, tmp_path):
    first = ensure(SMALL, tmp_path)
    assert [path.name for path in first] == ["a-1.jar", "b-2.jar"]
    assert ensure(SMALL, tmp_path) == first
    assert ivy.runs == 1


def test_the_cache_of_the_checkout_serves_every_home(ivy, tmp_path):
    inside = ensure(SMALL, tmp_path / "checkout" / "var")
    assert ensure(SMALL, tmp_path / "another-home") == inside
    assert ivy.runs == 1


def test_an_altered_jar_is_refused_and_nothing_is_kept(ivy, tmp_path):
    ivy.files["b-2.jar"] = b"something else"
    with pytest.raises(EnvironmentFault, match=r"differ from jars.sha256 in b-2.jar"):
        ensure(SMALL, tmp_path)
    assert not cache_folder(SMALL, tmp_path).exists()


def test_a_missing_jar_is_refused(ivy, tmp_path):
    del ivy.files["a-1.jar"]
    with pytest.raises(EnvironmentFault, match=r"a-1.jar"):
        ensure(SMALL, tmp_path)


def test_a_half_finished_download_is_never_used_and_is_made_again(ivy, tmp_path):
    folder = cache_folder(SMALL, tmp_path)
    folder.mkdir(parents=True)
    (folder / "a-1.jar").write_bytes(b"fir")
    assert not is_whole(folder)
    assert [path.read_bytes() for path in ensure(SMALL, tmp_path)] == [b"first", b"second"]


def test_without_network_the_message_says_what_was_tried_and_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(jars, "CHECKOUT", tmp_path / "checkout")
    # Maven Central replaced by an address where nobody answers; Ivy itself is the real one.
    real = subprocess.run

    def offline(command, **options):
        return real([command[0], "-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort=9", *command[1:]], **options)

    monkeypatch.setattr(jars.subprocess, "run", offline)
    with pytest.raises(EnvironmentFault, match=r"could not be fetched from Maven Central(.|\n)*check the network"):
        ensure(DELTA, tmp_path)
    assert not cache_folder(DELTA, tmp_path).exists()


def test_java_is_looked_for_where_spark_looks_for_it(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="no `java` in JAVA_HOME or on PATH: install Java 17"):
        jars.find_java()


def test_the_checksums_name_the_jars_that_the_sets_are_rooted_in():
    listed = [line.split()[1] for line in Path(jars.CHECKSUMS).read_text().splitlines()]
    for jar_set in (KAFKA, DELTA):
        for _, name, revision in jar_set.roots:
            assert f"{jar_set.name}/{name}-{revision}.jar" in listed
