"""The notebooks: they run from top to bottom as they stand, and are stored without outputs."""

from __future__ import annotations

import ast
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: Seconds for one cell.
CELL = 600


class ThisPython(AsyncKernelManager):
    """A kernel of the interpreter that runs the tests, so that none has to be installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="this Python", language="python")


def read(file: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(file: Path) -> Iterator[nbformat.NotebookNode]:
    return (cell for cell in read(file).cells if cell.cell_type == "code")


def private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def private_names(source: str) -> set[str]:
    """The names with an underscore in front that code imports, or takes of something."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return {name for name in found if private(name)}


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file, monkeypatch):
    """Fails with the error of the first cell that fails; leaves nothing in this folder or in the home folder."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT),
            "IPYTHONDIR": f"{folder}/ipython", "MPLCONFIGDIR": f"{folder}/matplotlib",
        }
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", folder)
        # Sockets instead of ports. The folder's name is short: the path of a socket has at most 107 letters.
        sockets = Config(ThisPython={"transport": "ipc", "ip": f"{folder}/kernel"})
        client = NotebookClient(
            read(file), timeout=CELL, kernel_manager_class=ThisPython, config=sockets,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    shown = [output.get("data", {}) for cell in client.nb.cells for output in cell.get("outputs", ())]
    assert any({"image/png", "text/html"} & data.keys() or any("vegalite" in kind for kind in data) for data in shown)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_stored_without_outputs(file):
    left = [cell.id for cell in code_cells(file) if cell.outputs or cell.execution_count is not None]
    assert not left, "clear all outputs before it is saved"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_uses_public_names_only(file):
    plain = TransformerManager().transform_cell
    assert not {name for cell in code_cells(file) for name in private_names(plain(cell.source))}


def test_private_names_are_seen():
    source = "import a._b\nfrom c import _d, e\nx._f()\nfrom _g import h\nfrom models.plots import png\ny.z\n"
    assert private_names(source) == {"a._b", "c._d", "_f", "_g.h"}
