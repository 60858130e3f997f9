"""A real Kafka broker on this machine: one KRaft node on loopback, from jars that pip and Ivy brought.

    with running_broker(folder) as address: ...      a broker of its own for tests, on a free port, topics created

The local stack starts the same command for good. Topics and their settings are changed with kafka-python's command
line, so that no second room needs to speak Kafka.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features import names
from features.errors import EnvironmentFault
from infra.jars import find_java, kafka_jars
from infra.ports import accepts, free_port
from infra.processes import running_process, wait_until

# A broker's JVM lives on one machine beside Spark and TensorFlow: little memory, quick start.
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dlog4j2.disable.jmx=true")
READY_WITHIN_S = 60.0
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int
    config: dict[str, str]


def topics(partitions: int) -> list[Topic]:
    """The log as the stream expects it; what a topic does not set is the broker's default.

    `events` starts with that default, the producer's timestamps, for a replay in virtual time.
    """
    return [
        Topic(names.TOPIC_EVENTS, partitions, {}),
        Topic(names.TOPIC_CATALOG, partitions, {**APPEND_TIME, "cleanup.policy": "compact"}),
        Topic(names.TOPIC_DEAD_LETTERS, 1, {}),
    ]


def prepare_broker(folder: Path, home: Path, host: str, port: int, controller_port: int, heap_mb: int) -> list[str]:
    """Write the broker's configuration, format its log once, and return the command that runs it.

    Args:
      folder: holds server.properties, log4j2.properties and the log itself.
      home: where the jars are cached.
    Raises EnvironmentFault: no Java, no jars, or the log cannot be formatted.
    """
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    java = find_java()
    class_path = ":".join(str(jar) for jar in kafka_jars(home))
    properties = folder / "server.properties"
    properties.write_text(server_properties(folder / "log", host, port, controller_port))
    logging = folder / "log4j2.properties"
    logging.write_text(LOGGING)
    if not (folder / "log" / "meta.properties").is_file():
        format_log(java, class_path, properties)
    options = [f"-Xmx{heap_mb}m", *JVM, f"-Djava.io.tmpdir={folder / 'tmp'}", f"-Dlog4j2.configurationFile={logging}"]
    return [java, *options, "-cp", class_path, "kafka.Kafka", str(properties)]


def format_log(java: str, class_path: str, properties: Path) -> None:
    tool = ["kafka.tools.StorageTool", "format", "-t", str(uuid.uuid4()), "-c", str(properties)]
    done = subprocess.run([java, *JVM, "-cp", class_path, *tool], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFault(f"the broker's log folder could not be formatted: {(done.stdout + done.stderr)[-600:]}")


def server_properties(log: Path, host: str, port: int, controller_port: int) -> str:
    return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={log}
auto.create.topics.enable=false
log.message.timestamp.type=CreateTime
log.retention.ms=-1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


LOGGING = """rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


def is_ready(address: str) -> bool:
    """Whether the broker accepts connections and answers with its metadata."""
    return accepts(address) and admin(address, "topics", "list").returncode == 0


def create_topics(address: str, partitions: int) -> None:
    """Create the topics that are missing; a second call changes nothing, and `events` keeps the time it was given last.

    Raises EnvironmentFault: the broker refuses.
    """
    existing = json.loads(checked(address, "--format", "json", "topics", "list"))
    with ThreadPoolExecutor() as pool:  # each command is a process of its own
        list(pool.map(lambda topic: create_topic(address, topic, topic.name in existing), topics(partitions)))


def create_topic(address: str, topic: Topic, exists: bool) -> None:
    if not exists:
        checked(address, "topics", "create", "-t", topic.name, "--num-partitions", str(topic.partitions),
                "--replication-factor", "1")
    alter(address, topic.name, topic.config)


def set_append_time(address: str) -> None:
    """Let the broker's clock stamp `events` from now on: live traffic follows the replay."""
    alter(address, names.TOPIC_EVENTS, APPEND_TIME)


def set_create_time(address: str) -> None:
    """Let `events` keep the producer's timestamps: a replay in virtual time follows."""
    alter(address, names.TOPIC_EVENTS, {"message.timestamp.type": "CreateTime"})


def alter(address: str, topic: str, config: dict[str, str]) -> None:
    if config:
        changes = [part for key, value in config.items() for part in ("-c", f"{key}={value}")]
        checked(address, "configs", "alter", "-r", "topic", "-n", topic, *changes)


def checked(address: str, *arguments: str) -> str:
    """The output of an admin command. Raises EnvironmentFault with it when the command failed."""
    done = admin(address, *arguments)
    if done.returncode:
        said = (done.stdout + done.stderr)[-400:].strip()
        raise EnvironmentFault(f"the broker at {address} refused `{' '.join(arguments)}`: {said}")
    return done.stdout


def admin(address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kafka.admin", "-l", "CRITICAL", "-b", address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def running_broker(home: Path, partitions: int = 4, heap_mb: int = 256) -> Iterator[str]:
    """A broker on a free port with its topics created, for the length of a block; its log is kept in <home>/kafka.

    Yields: host:port.
    Raises EnvironmentFault: it does not come up; the message ends with its log.
    """
    host, port, controller_port = "127.0.0.1", free_port(), free_port()
    command = prepare_broker(home / "kafka", home, host, port, controller_port, heap_mb)
    address, log = f"{host}:{port}", home / "run" / "kafka.log"
    with running_process(command, log) as process:
        wait_until(lambda: is_ready(address), process, "kafka", log, READY_WITHIN_S)
        create_topics(address, partitions)
        yield address
