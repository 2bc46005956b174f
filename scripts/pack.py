"""Packs the pure-Python packages into a zip for ``spark-submit --py-files``: python scripts/pack.py dist/seglake.zip

The content is that of the wheel's packages, with fixed times and order, so equal sources give equal bytes.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Folder of the repository -> its place in the zip, as in the wheel.
FOLDERS = {
    "segment_lib": "segment_lib", "models": "models", "jobs": "jobs", "conf": "segment_lib/templates/demo",
}


def pack(target: Path) -> None:
    """Writes the zip; an older one is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, place in FOLDERS.items():
            for file in sorted((ROOT / folder).rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    name = f"{place}/{file.relative_to(ROOT / folder).as_posix()}"
                    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, file.read_bytes())


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
    print(sys.argv[1])
