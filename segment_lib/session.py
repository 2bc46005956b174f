"""The Spark session: one place that decides how Spark starts, so that every job sees the same rules.

UTC and ANSI always. Started by `seglake` it is an embedded local session; under `spark-submit` the session that is
given there is used and only what must hold is set.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

from segment_lib.errors import StorageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from segment_lib.settings import Settings

HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.5.0"
#: What Spark itself brings already; leaving it out makes the first start smaller and avoids two versions of a class.
BROUGHT_BY_SPARK = (
    "org.apache.hadoop:hadoop-client-*", "org.apache.parquet:*", "org.apache.logging.log4j:*",
    "com.fasterxml.jackson.*:*", "org.slf4j:*", "org.xerial.snappy:*", "com.github.luben:*", "org.roaringbitmap:*",
    "commons-logging:*", "javax.annotation:*", "com.google.code.findbugs:*",
)
#: What any session must have, whoever started it.
REQUIRED = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # A path is opened by `storage` alone, never by a file relation in SQL text.
    "spark.sql.runSQLOnFiles": "false",
    "spark.redaction.regex": "(?i)secret|password|passphrase|token|access[.]?key|api.?key|credential",
}
EMBEDDED = {
    "spark.master": "local[*]",
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Each Column function would ask the JVM for the caller's line; with a thousand definitions that is most of the plan.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # The state of a table's log is small; 50 partitions, the default, cost more than they save.
    "spark.databricks.delta.snapshotPartitions": "4",
}
#: Environment names that override the embedded defaults; conf's `spark` section overrides both.
FROM_ENVIRONMENT = {"SEGLAKE_MASTER": "spark.master", "SEGLAKE_DRIVER_MEMORY": "spark.driver.memory"}


def needs_s3(settings: Settings) -> bool:
    """Whether any path in conf lies on S3, so that the S3A jars are needed.

    >>> from segment_lib.settings import Settings
    >>> needs_s3(Settings()), needs_s3(Settings(root="s3a://bucket/lake"))
    (False, True)
    """
    paths = [settings.root, *(section.path or "" for section in settings.inputs.values())]
    return any(path.startswith(("s3a://", "s3://")) for path in paths)


def s3_conf(env: Mapping[str, str]) -> dict[str, str]:
    """S3A settings from the standard AWS environment, so that S3A and boto3 talk to the same server.

    Without keys in the environment S3A's own provider chain decides (roles, profiles). An endpoint means a server that
    is not AWS: those are addressed by path.

    >>> s3_conf({"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"})["spark.hadoop.fs.s3a.path.style.access"]
    'true'
    """
    conf = {}
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    if endpoint:
        conf["spark.hadoop.fs.s3a.endpoint"] = endpoint
        conf["spark.hadoop.fs.s3a.path.style.access"] = "true"
        conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(not endpoint.startswith("http://")).lower()
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    if region or endpoint:
        conf["spark.hadoop.fs.s3a.endpoint.region"] = region or "us-east-1"
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        conf["spark.hadoop.fs.s3a.access.key"] = env["AWS_ACCESS_KEY_ID"]
        conf["spark.hadoop.fs.s3a.secret.key"] = env["AWS_SECRET_ACCESS_KEY"]
        if env.get("AWS_SESSION_TOKEN"):
            conf["spark.hadoop.fs.s3a.session.token"] = env["AWS_SESSION_TOKEN"]
            conf["spark.hadoop.fs.s3a.aws.credentials.provider"] = (
                "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
            )
    return conf


def embedded_conf(settings: Settings, env: Mapping[str, str], *, app_name: str, s3: bool) -> dict[str, str]:
    """Everything that an embedded session is started with; later sources win."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    builder = configure_spark_with_delta_pip(SparkSession.Builder(), [HADOOP_AWS] if s3 else None)
    conf = dict(builder._options)
    conf["spark.jars.excludes"] = ",".join(BROUGHT_BY_SPARK)
    conf |= EMBEDDED | {"spark.app.name": app_name}
    conf |= {name: env[key] for key, name in FROM_ENVIRONMENT.items() if env.get(key)}
    conf |= s3_conf(env) if s3 else {}
    return conf | settings.spark | REQUIRED


def _last_lines(log: IO[bytes], count: int = 8) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])


def _start(conf: dict[str, str]) -> SparkSession:
    """Start a JVM of our own; what it prints goes to a file that is shown only when the start fails.

    Standard error belongs to the log lines of the job, so neither the jar resolver nor log4j may write there.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    spark_conf = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    with tempfile.TemporaryFile() as log:
        try:
            # A pipe whose child is the JVM: it keeps its own handle on the file after we close ours.
            gateway = launch_gateway(conf=spark_conf, popen_kwargs={"stderr": log, "stdout": log})
            SparkContext(conf=spark_conf, gateway=gateway)
        except Exception as error:
            raise StorageError(
                f"Spark did not start ({type(error).__name__}): is Java 17 or newer installed and JAVA_HOME right? "
                f"`seglake doctor` checks it. The last lines of its output:\n{_last_lines(log)}"
            ) from error
    return SparkSession.builder.getOrCreate()


def build_session(
    settings: Settings, *, app_name: str, s3: bool = False, env: Mapping[str, str] | None = None
) -> SparkSession:
    """The Spark session for this process: the one that exists, spark-submit's, or an embedded one.

    S3A's jars are pulled in when `s3` is true or a path in conf is on S3. A session that exists already must have
    Delta; its time zone and ANSI mode are set.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    # It prints a failed query's text and values on standard error; the raised error says what is needed, without them.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    env = os.environ if env is None else env
    s3 = s3 or needs_s3(settings)
    active = SparkContext._active_spark_context is not None
    if active or "PYSPARK_GATEWAY_PORT" in env:
        builder = SparkSession.builder
        if not active:
            for name, value in (REQUIRED | (s3_conf(env) if s3 else {})).items():
                builder = builder.config(name, value)
        session = builder.getOrCreate()
        if "DeltaSparkSessionExtension" not in (session.conf.get("spark.sql.extensions", "") or ""):
            raise StorageError(
                "this Spark session has no Delta: start it with the delta-spark package and "
                "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension"
            )
        session.conf.set("spark.sql.session.timeZone", "UTC")
        session.conf.set("spark.sql.ansi.enabled", "true")
        return session
    conf = embedded_conf(settings, env, app_name=app_name, s3=s3)
    if conf["spark.master"].startswith("local"):
        # Workers started by the local JVM would otherwise take whatever `python3` is first on the path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return _start(conf)
