"""A real cluster on one machine: a standalone master and workers of one core each, from Spark's own start scripts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pyspark

SPARK_HOME = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)
#: Seconds until all workers must have come.
PATIENCE = 120


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A master and `workers` of one core and so much memory; what they write lies in `folder`, which must exist.

    A context: started when it is entered, ended with all its processes when it is left.
    """

    def __init__(self, folder: Path, workers: int = 2, memory: str = "1g"):
        self.folder, self.port, self.ui = folder, free_port(), free_port()
        self.names, self.memory = [f"worker-{number}" for number in range(workers)], memory
        self.url = f"spark://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen] = []

    def __enter__(self) -> Cluster:
        try:
            ports = ("--port", str(self.port), "--webui-port", str(self.ui))
            self._start("master", "master.Master", "--host", "127.0.0.1", *ports)
            for name in self.names:
                self._start(
                    name, "worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", self.memory,
                    "--webui-port", "0", "--work-dir", str(self.folder / name), self.url,
                )
            self._wait_for_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return [process.pid for process in self.processes[1:]]

    def _start(self, name: str, part: str, *arguments: str) -> None:
        environ = {
            **os.environ, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_NO_DAEMONIZE": "1",
        }
        with (self.folder / f"{name}.log").open("w") as log:
            command = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{part}", *arguments]
            self.processes.append(subprocess.Popen(command, env=environ, cwd=self.folder, stdout=log, stderr=log))

    def state(self) -> dict:
        """What the master's own page says, as JSON."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ui}/json/", timeout=5) as answer:
            return json.load(answer)

    def _wait_for_workers(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if any(process.poll() is not None for process in self.processes):
                break
            try:
                if sum(worker["state"] == "ALIVE" for worker in self.state()["workers"]) == len(self.names):
                    return
            except (OSError, ValueError):
                pass  # the master does not answer yet, or only with its page for people
            time.sleep(0.5)
        raise RuntimeError(f"the cluster did not start within {PATIENCE} s: {self._logs()}")

    def _logs(self) -> str:
        return "\n".join(file.read_text()[-1500:] for file in sorted(self.folder.glob("*.log")))
