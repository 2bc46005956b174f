"""One measurement: a way, in a process of its own, timed inside and watched from outside.

The time is that of the work alone, from parsed definitions to the written table: starting Python or the JVM, imports,
and the warm-up are not in it. The peak of memory is that of the process and all its children, from start to end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import Shop
from benchmarks.memory import resident
from segment_lib.definition.segment import Segment

ROOT = Path(__file__).parent.parent
#: What the JVM is warmed up on: customers and events.
TINY = (2_000, 40_000)
#: The most definitions that it is warmed up with: as many as make the engine choose as it will.
WARM = 100
#: Seconds between two looks at the memory.
_LOOK = 0.2


@dataclass(frozen=True)
class Task:
    """What a process of its own has to do. `way` is a name of WAYS, or ``generate``."""

    way: str
    data: str
    customers: int
    events: int
    threads: int
    memory: str
    #: A file with a definition a line, as JSON; none for what needs no definitions.
    definitions: str | None = None
    out: str | None = None

    @property
    def shop(self) -> Shop:
        return Shop.below(Path(self.data), self.customers, self.events)

    def segments(self, most: int | None = None) -> list[Segment]:
        if self.definitions is None:
            return []
        return [Segment.from_json(line) for line in Path(self.definitions).read_text().splitlines()[:most]]


@dataclass(frozen=True)
class Measured:
    """How it went: seconds of the work, of the whole process, and the peak of memory in bytes, where known."""

    seconds: float
    process_seconds: float
    peak_bytes: int | None
    extra: dict[str, Any]
    #: Why there is no time; empty when all went well.
    error: str = ""


def measure(task: Task, scratch: Path, timeout: float) -> Measured:
    """Does the task in a process of its own; `scratch` gets what it says, `timeout` is in seconds."""
    scratch.mkdir(parents=True, exist_ok=True)
    said, log = scratch / "result.json", scratch / "log.txt"
    said.unlink(missing_ok=True)
    began, peak = time.perf_counter(), 0
    with log.open("w") as output, _process([json.dumps(asdict(task)), str(said)], task.threads, output) as process:
        while process.poll() is None and time.perf_counter() - began < timeout:
            peak = max(peak, resident(process.pid))
            time.sleep(_LOOK)
        code = process.poll()
    took = time.perf_counter() - began
    if code == 0:
        result = json.loads(said.read_text())
        return Measured(result["seconds"], took, peak or None, result["extra"])
    why = f"not done after {timeout:.0f} s" if code is None else f"exit code {code}"
    return Measured(0.0, took, peak or None, {}, f"{why}; see {log}")


@contextmanager
def _process(arguments: Sequence[str], threads: int, output: Any) -> Iterator[subprocess.Popen]:
    """A process with its own group, all of which is ended when the block is left."""
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.measure", *arguments], cwd=ROOT, env=environment, stdout=output,
        stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# Inside the process --------------------------------------------------------------------------------------------------


def _generate(task: Task) -> dict[str, Any]:
    from segment_lib.session import build_session

    conf = {"spark.master": f"local[{task.threads}]", "spark.driver.memory": task.memory}
    spark = build_session(task.shop.settings(conf), app_name="benchmarks", env={})
    began = time.perf_counter()
    task.shop.generate(spark)
    return {"seconds": time.perf_counter() - began, "extra": {}}


def _work(task: Task) -> dict[str, Any]:
    from benchmarks.ways import WAYS, Work, published, ready

    way, out = WAYS[task.way], Path(task.out or "")
    work = Work(task.shop, task.segments(), out, task.threads, task.memory)
    tiny_out = out.with_name("tiny")
    tiny = Work(Shop.below(Path(task.data), *TINY), task.segments(WARM), tiny_out, task.threads, task.memory)
    for folder in (out, tiny_out):
        shutil.rmtree(folder, ignore_errors=True)
    engine = ready(way, work, tiny)
    shutil.rmtree(tiny_out, ignore_errors=True)
    began = time.perf_counter()
    extra = way.work(engine, work) or {}
    seconds = time.perf_counter() - began
    if "run_id" in extra:
        published(engine, work, extra.pop("run_id"))
    return {"seconds": seconds, "extra": extra}


def main() -> None:
    task, said = Task(**json.loads(sys.argv[1])), Path(sys.argv[2])
    said.write_text(json.dumps(_generate(task) if task.way == "generate" else _work(task)))


if __name__ == "__main__":
    main()
