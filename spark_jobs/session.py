"""The Spark session every job uses: UTC, Delta, and nothing written outside the state folder."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from features.errors import EnvironmentFault

# A night's jobs run for seconds: the quick compiler alone starts faster than it would be overtaken. On one machine the serial
# collector does for all.
SHORT_RUN, LOCAL_RUN = "-XX:TieredStopAtLevel=1 ", "-XX:+UseSerialGC"


def spark_session(app: str, settings: Any, jars: Sequence[Path], short: bool = True) -> SparkSession:
    """A session on `settings.spark`; under spark-submit, whatever master, memory and jars it was started with.

    Args:
      settings: has `.home` (the state folder) and `.spark` (master, driver_memory, shuffle_partitions).
      short: a few days' work, not months'.
      jars: Delta's two jars. spark-submit wants them as `--jars`: a running driver cannot take them in any more.
    Raises:
      EnvironmentFault: Java did not start, or Delta's classes are not there.
    """
    scratch = settings.home / "tmp" / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    builder = SparkSession.builder.appName(app)
    values = common_values(settings, scratch)
    if not submitted():
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers' Python: this one, not the PATH's
        os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:-UsePerfData")
        values |= {
            "spark.master": settings.spark.master,
            "spark.driver.memory": settings.spark.driver_memory,
            "spark.jars": ",".join(str(jar) for jar in jars),
            "spark.driver.extraJavaOptions":
                f"-Djava.io.tmpdir={scratch} -Dlog4j2.configurationFile={log_configuration(scratch)} -XX:-UsePerfData "
                + (SHORT_RUN if short else "") + (LOCAL_RUN if settings.spark.master.startswith("local") else ""),
        }
    for key, value in values.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as fault:
        raise EnvironmentFault(
            f"Spark did not start: {first_line(fault)}. It needs Java 17 (`java -version`) and {', '.join(map(str, jars))}"
        ) from fault
    spark.sparkContext.setLogLevel("ERROR")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    return spark


def submitted() -> bool:
    """Whether spark-submit (or an earlier session of this process) has started the JVM already."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def common_values(settings: Any, scratch: Path) -> dict[str, str]:
    return {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(settings.spark.shuffle_partitions),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # By default a table's own log is read by 50 tasks, which for small tables is most of the time.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }


def log_configuration(scratch: Path) -> Path:
    """Errors on stderr, nothing else."""
    file = scratch / "log4j2.properties"
    file.write_text(
        "rootLogger.level = error\nrootLogger.appenderRef.stderr.ref = stderr\nappender.stderr.type = Console\n"
        "appender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\nappender.stderr.layout.type = PatternLayout\n"
        "appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n\n"
        # Without a level of its own, the gateway announces that it chose one.
        "logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer\nlogger.gateway.level = error\n")
    return file


def first_line(fault: BaseException) -> str:
    return str(fault).strip().split("\n")[0]
