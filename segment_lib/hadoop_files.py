"""Files and folders wherever Spark can reach them: on this machine, on S3, on HDFS."""

from __future__ import annotations

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from segment_lib.errors import InputError
from segment_lib.paths import absolute

#: What Spark raises: its own errors, and those of the JVM that it does not translate.
SPARK_ERRORS = (PySparkException, Py4JJavaError)


def error_class(error: BaseException) -> str:
    """The class of an error of Spark; its message may quote data."""
    if isinstance(error, PySparkException):
        return error.getCondition() or type(error).__name__
    if isinstance(error, Py4JJavaError):
        return str(error.java_exception.getClass().getName())
    return type(error).__name__


class Files:
    """The file systems of a Spark session."""

    def __init__(self, spark: SparkSession):
        self._spark = spark

    def _at(self, path: str):
        jvm = self._spark.sparkContext._jvm
        target = jvm.org.apache.hadoop.fs.Path(path)
        return target.getFileSystem(self._spark.sparkContext._jsc.hadoopConfiguration()), target

    def names(self, path: str) -> list[str]:
        """What lies in a folder, by name; nothing when there is none."""
        system, target = self._at(path)
        return [status.getPath().getName() for status in system.listStatus(target)] if system.exists(target) else []

    def below(self, given: str) -> list[str]:
        """The files to load at a path: itself, or all in a folder and below, without hidden ones, sorted."""
        path = absolute(given)
        system, target = self._at(path)
        try:
            status = system.getFileStatus(target)
        except Py4JJavaError as error:
            raise InputError(f"{given}: no such file or folder, or not readable") from error
        if status.isFile():
            return [path]
        found, walk = [], system.listFiles(target, True)
        while walk.hasNext():
            uri = walk.next().getPath().toString()
            name = uri[uri.index(path) + len(path):]
            if not any(part.startswith(("_", ".")) for part in name.split("/")):
                found.append(path + name)
        return sorted(found)

    def total(self, path: str, without: str) -> tuple[int, int]:
        """How many files lie below a folder, and their bytes, but those with `without` in their path."""
        system, target = self._at(path)
        files = size = 0
        walk = system.listFiles(target, True)
        while walk.hasNext():
            status = walk.next()
            if without not in status.getPath().toString():
                files, size = files + 1, size + status.getLen()
        return files, size

    def head(self, path: str, most: int) -> bytes:
        """The first bytes of a file, unpacked when its name says that it is compressed."""
        try:
            system, target = self._at(path)
            jvm = self._spark.sparkContext._jvm
            factory = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(system.getConf())
            codec, stream = factory.getCodec(target), system.open(target)
            stream = stream if codec is None else codec.createInputStream(stream)
            try:
                return bytes(stream.readNBytes(most))
            finally:
                stream.close()
        except Py4JJavaError as error:
            raise InputError(f"{path}: the file cannot be read ({error_class(error)})") from error

    def delete(self, path: str) -> None:
        """Deletes a file, or a folder with all below it."""
        system, target = self._at(path)
        system.delete(target, True)
