"""Prints the lock: the versions that the running venv holds of what setup.py asks for, and of what that needs.

Run as ``python scripts/lock.py > requirements.txt`` in a venv whose packages have been upgraded and tested.
"""

from __future__ import annotations

import re
import runpy
import sys
from importlib.metadata import distribution
from pathlib import Path
from unittest.mock import patch

from packaging.requirements import Requirement

HEADER = """\
# The lock: every package of set-up, demo, benchmark and tests, at the version that was tested.
# setup.py has the ranges that other projects install with; `make lock` writes this file anew from the venv.
"""
BUILD = ["setuptools>=78"]


def declared() -> dict[str, list[str]]:
    """What setup.py asks for, by purpose."""
    with patch("setuptools.setup") as setup:
        runpy.run_path(str(Path(__file__).parent.parent / "setup.py"))
    arguments = setup.call_args.kwargs
    return {"runtime": arguments["install_requires"], **arguments["extras_require"], "build": BUILD}


def collect(requirement: Requirement, found: dict[str, str], done: set[str]) -> None:
    """Adds a requirement and all it needs here to `found`: name -> version. `done` holds what was looked at."""
    name = re.sub(r"[-_.]+", "-", requirement.name).lower()
    installed = distribution(requirement.name)
    if not requirement.specifier.contains(installed.version):
        sys.exit(f"{name} {installed.version} is installed, but {requirement} is asked for")
    found[name] = installed.version
    for text in installed.requires or ():
        needed = Requirement(text)
        extras = requirement.extras or {""}
        wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and text not in done:
            done.add(text)
            collect(needed, found, done)


def main() -> None:
    print(HEADER, end="")
    locked: dict[str, str] = {}
    for purpose, requirements in declared().items():
        found: dict[str, str] = {}
        for text in requirements:
            collect(Requirement(text), found, set())
        fresh = {name: version for name, version in sorted(found.items()) if name not in locked}
        if fresh:
            print(f"\n# {purpose}")
            print("\n".join(f"{name}=={version}" for name, version in fresh.items()))
        locked |= fresh


if __name__ == "__main__":
    main()
