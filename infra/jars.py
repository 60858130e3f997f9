"""The two sets of Java archives that pip does not carry: the Kafka broker's and Delta's for Spark.

pyspark ships Ivy, which fetches them from Maven Central once, into <home>/cache/jars/<set>. A set is an artefact:
it is published whole, its files checked against `jars.sha256`, or not at all; a fetch that broke off leaves nothing
that is ever used. Once a set is there, no network is needed.

    python -m infra.jars            fetch what is missing, print each folder
"""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.artefacts import new_artefact, read_manifest, sha256
from features.errors import ArtefactError, EnvironmentFault, GatesidError

CHECKOUT = Path(__file__).resolve().parents[1]
CHECKSUMS = Path(__file__).with_name("jars.sha256")


@dataclass(frozen=True)
class JarSet:
    name: str
    roots: tuple[tuple[str, str, str], ...]  # organisation, module, revision
    transitive: bool  # with everything that the roots depend on


# The broker's log stays empty without the slf4j binding, of the log4j version that Kafka brings.
KAFKA = JarSet("kafka", (
    ("org.apache.kafka", "kafka_2.13", "4.3.0"),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
), transitive=True)
DELTA = JarSet("delta", (
    ("io.delta", "delta-spark_4.2_2.13", "4.4.0"),
    ("io.delta", "delta-storage", "4.4.0"),
), transitive=False)


def kafka_jars(home: Path) -> list[Path]:
    """The broker's class path. Raises EnvironmentFault: not in the cache and no way to fetch it."""
    return ensure(KAFKA, home)


def delta_jars(home: Path) -> list[Path]:
    """What Spark takes as `spark.jars` to read and write Delta tables. Raises as kafka_jars."""
    return ensure(DELTA, home)


def ensure(jars: JarSet, home: Path) -> list[Path]:
    """The set from the cache of `home`, else from the checkout's own, else fetched into the cache of `home`."""
    for place in (home, CHECKOUT / "var"):
        folder = cache_folder(jars, place)
        if is_whole(folder):
            return sorted(folder.glob("*.jar"))
    folder = cache_folder(jars, home)
    with only_one_fetcher(folder.parent):
        if not is_whole(folder):  # another process may have fetched it while this one waited
            shutil.rmtree(folder, ignore_errors=True)
            fetch(jars, folder)
    return sorted(folder.glob("*.jar"))


def cache_folder(jars: JarSet, home: Path) -> Path:
    return home / "cache" / "jars" / jars.name


def is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder, kind="jars")
    except ArtefactError:
        return False
    return True


def fetch(jars: JarSet, folder: Path) -> None:
    """Run Ivy into a draft, compare with the known checksums, publish."""
    work = folder.parent / f".ivy-{jars.name}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with new_artefact(folder, kind="jars", roots=[":".join(root) for root in jars.roots]) as draft:
            run_ivy(jars, work, draft.path)
            check_sums(jars, draft.path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run_ivy(jars: JarSet, work: Path, into: Path) -> None:
    description = work / "ivy.xml"
    description.write_text(ivy_description(jars))
    command = [
        find_java(), "-XX:-UsePerfData", f"-Divy.home={work}", "-jar", str(find_ivy()),
        "-cache", str(work / "cache"), "-ivy", str(description), "-confs", "default", "-types", "jar", "bundle",
        "-retrieve", f"{into}/[artifact]-[revision].[ext]",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reasons = [line.strip() for line in done.stdout.splitlines() if "not found" in line or "ERROR" in line]
        raise EnvironmentFault(
            f"the {jars.name} jars could not be fetched from Maven Central (needed once, then cached in {into.parent}): "
            f"check the network and run it again. Ivy says: {'; '.join(reasons[:3]) or done.stderr[-300:]}")


def ivy_description(jars: JarSet) -> str:
    transitive = str(jars.transitive).lower()
    lines = [
        f'<dependency org="{org}" name="{name}" rev="{rev}" transitive="{transitive}"/>' for org, name, rev in jars.roots]
    return (
        f'<ivy-module version="2.0"><info organisation="gatesid" module="{jars.name}"/>'
        '<configurations defaultconfmapping="default->default"><conf name="default"/></configurations>'
        f"<dependencies>{''.join(lines)}</dependencies></ivy-module>")


def check_sums(jars: JarSet, folder: Path) -> None:
    """Raises EnvironmentFault: what was fetched is not exactly what `jars.sha256` lists."""
    expected = {}
    for line in CHECKSUMS.read_text().splitlines():
        digest, place = line.split()
        group, name = place.split("/")
        if group == jars.name:
            expected[name] = digest
    found = {path.name: sha256(path) for path in folder.glob("*.jar")}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise EnvironmentFault(
            f"the {jars.name} jars that arrived differ from {CHECKSUMS.name} in {', '.join(wrong)}: nothing was kept; "
            "run it again, and if it stays, look at who answers for Maven Central on this network")


@contextmanager
def only_one_fetcher(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_java() -> str:
    """The program that Spark would take too: of JAVA_HOME, else of PATH. Raises EnvironmentFault: there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise EnvironmentFault(
            "no `java` in JAVA_HOME or on PATH: install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)")
    return found


def find_ivy() -> Path:
    spec = importlib.util.find_spec("pyspark")
    found = sorted(Path(spec.submodule_search_locations[0]).glob("jars/ivy-*.jar")) if spec else []
    if not found:
        raise EnvironmentFault("pyspark and the Ivy it carries are not in this environment: run `make setup`")
    return found[-1]


def main(home: Path) -> int:
    try:
        for jars in (KAFKA, DELTA):
            print(f"{jars.name} jars: {ensure(jars, home)[0].parent}", flush=True)
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    return 0


if __name__ == "__main__":
    from infra.settings import load_settings

    sys.exit(main(load_settings().home))
