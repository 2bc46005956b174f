"""What a machine needs to run the product, checked one by one, each fault with its remedy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from segment_lib.errors import SeglakeError
from segment_lib.notify_settings import variable
from segment_lib.objects import open_objects
from segment_lib.settings import Settings

JAVA = 17
PYTHON = (3, 11)
#: Distribution -> what its version must start with or stay below, and how it is asked for.
PACKAGES = {
    "pyspark": ((4, 2), (4, 3), "pyspark==4.2.*"),
    "delta-spark": ((4, 4, 0), (4, 4, 1), "delta-spark==4.4.0"),
    "pandas": ((2, 2), (3,), "pandas>=2.2,<3"),
    "pyarrow": ((18,), None, "pyarrow>=18"),
    "pydantic": ((2, 9), (3,), "pydantic>=2.9,<3"),
    "boto3": ((1, 36), None, "boto3>=1.36"),
}
#: Seconds that the resolver of jars may take on a slow line.
RESOLVE_SECONDS = 900


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def check_machine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Python, its packages, Java, and the jars that `settings` needs; one after the other, the slow one last."""
    yield _python()
    yield from (_package(name) for name in PACKAGES)
    java = _java(environ)
    yield java
    if java.ok and _package("pyspark").ok and _package("delta-spark").ok:
        yield _jars(settings, environ)
    else:
        yield Check("jars", False, "not looked at, for Java or a package is missing", "mend those first")


def check_lake(settings: Settings) -> Iterator[Check]:
    """Whether the tables can be written where conf says, and the inputs that are used in place can be read."""
    yield _guard("root", settings.root, _writable)
    for table, section in sorted(settings.inputs.items()):
        if section.path:
            yield _guard(f"inputs.{table}", section.path, _readable)


def check_secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether the environment has each secret that conf refers to; the values are not looked at."""
    for name, entry in sorted(settings.notify.items()):
        for key, reference in entry.references.items():
            wanted = variable(reference) or reference
            there = bool(environ.get(wanted))
            yield Check(
                f"notify.{name}.{key}", there, f"environment variable {wanted} is {'set' if there else 'not set'}",
                "set it where the job runs, or name another in conf",
            )


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", sys.version_info[:2] >= PYTHON, found, "make the venv with Python 3.11 or newer")


def _package(name: str) -> Check:
    least, below, requirement = PACKAGES[name]
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install '{requirement}'")
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:3])
    return Check(name, numbers >= least and (below is None or numbers < below), found, f"pip install '{requirement}'")


def java_version(text: str) -> int | None:
    """The major version in what ``java -version`` prints.

    >>> java_version('openjdk version "17.0.15" 2025-04-15'), java_version('java version "1.8.0_392"')
    (17, 8)
    """
    match = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if not match:
        return None
    return int(match[2] or 1) if match[1] == "1" else int(match[1])


def _java(environ: Mapping[str, str]) -> Check:
    home = environ.get("JAVA_HOME")
    command = str(Path(home, "bin", "java")) if home else shutil.which("java", path=environ.get("PATH"))
    remedy = "install a Java runtime of version 17 or newer (Debian: apt-get install openjdk-17-jre-headless)"
    if home:
        remedy += ", or point JAVA_HOME at one"
    if not command or not os.access(command, os.X_OK):
        return Check("java", False, f"none at JAVA_HOME ({home})" if home else "none on the path", remedy)
    said = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    major = java_version(said.stderr + said.stdout)
    return Check("java", major is not None and major >= JAVA, f"version {major} at {command}", remedy)


def _jars(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Runs Spark's own resolver, as the start of a session does; what it brings stays in its cache."""
    from segment_lib.session import embedded_conf, needs_s3

    conf = embedded_conf(settings, environ, app_name="seglake doctor", s3=needs_s3(settings))
    wanted = {name: value for name, value in conf.items() if name.startswith(_RESOLVER)}
    packages = wanted.get("spark.jars.packages", "")
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder, "nothing.py")
        nothing.write_text("")
        options = [word for name, value in wanted.items() for word in ("--conf", f"{name}={value}")]
        command = [str(_spark_submit(environ)), *options, str(nothing)]
        try:
            said = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=RESOLVE_SECONDS,
                env={**environ, "PYSPARK_PYTHON": sys.executable},
            )
        except subprocess.TimeoutExpired:
            return Check("jars", False, f"no answer within {RESOLVE_SECONDS} s", _JARS_REMEDY)
    if said.returncode == 0:
        return Check("jars", True, packages)
    faults = re.findall(r"unresolved dependency: [^\n]*|Exception in thread[^\n]*", said.stderr)
    return Check("jars", False, "; ".join(dict.fromkeys(faults)) or said.stderr[-500:], _JARS_REMEDY)


_JARS_REMEDY = (
    "Spark brings the jars of Delta (and of S3A, when a path lies on S3) once from Maven Central, or from the mirror "
    "that its settings name, so this machine must reach one of them the first time; or put the jars into a folder and name "
    "them in conf, as spark.jars, with spark.jars.packages: ''"
)
_RESOLVER = ("spark.jars", "spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions")


def _spark_submit(environ: Mapping[str, str]) -> Path:
    import pyspark

    return Path(environ.get("SPARK_HOME") or Path(pyspark.__file__).parent, "bin", "spark-submit")


def _is_s3(path: str) -> bool:
    return path.startswith(("s3://", "s3a://"))


def _writable(path: str) -> tuple[str, str]:
    if _is_s3(path):
        store = open_objects(path)
        store.write("seglake-doctor", b"")
        store.delete("seglake-doctor")
        return f"{path} can be written", ""
    here = Path(path.removeprefix("file://"))
    existing = next(folder for folder in (here, *here.parents) if folder.exists())
    if not existing.is_dir():
        return f"{existing} is not a folder", "name a folder as root in conf"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return f"{path} can be written" if existing == here else f"{path} can be made", ""
    except OSError as error:
        return f"{existing}: {error.strerror}", "give this user the right to write there, or name another root in conf"


def _readable(path: str) -> tuple[str, str]:
    if not (open_objects(path).list("_delta_log/") if _is_s3(path) else Path(path, "_delta_log").is_dir()):
        return f"there is no Delta table at {path}", "name the folder that holds _delta_log"
    return f"{path} is a Delta table", ""


def _guard(name: str, path: str, probe: Callable[[str], tuple[str, str]]) -> Check:
    """A check whose probe says (what was found, remedy); an empty remedy is a pass."""
    try:
        found, remedy = probe(path)
    except (OSError, SeglakeError) as error:
        return Check(name, False, f"{path}: {error}", "check the path, the network and the credentials")
    return Check(name, not remedy, found, remedy)
