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
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

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


def private_names(tree: ast.Module) -> set[str]:
    """The names with an underscore in front that code imports, or takes of something."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return {name for name in found if private(name)}


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.fixture(scope="module")
def kernel() -> Iterator[AsyncKernelManager]:
    """One kernel, for a JVM that has done it before does a notebook in half the time; their names are not shared.

    It leaves nothing in this folder or in the home folder.
    """
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", folder)
        # Sockets instead of ports. The folder's name is short: the path of a socket has at most 107 letters.
        manager = ThisPython(transport="ipc", ip=f"{folder}/kernel")
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT),
            "IPYTHONDIR": f"{folder}/ipython", "MPLCONFIGDIR": f"{folder}/matplotlib",
        }
        run_sync(manager.start_kernel)(env=environment, cwd=folder)
        yield manager
        run_sync(manager.shutdown_kernel)(now=True)


def executed(notebook: nbformat.NotebookNode, kernel: AsyncKernelManager) -> nbformat.NotebookNode:
    """The notebook with its outputs; raises the error of the first cell that fails."""
    forget = nbformat.v4.new_code_cell("%reset -f")
    client = NotebookClient(nbformat.v4.new_notebook(cells=[forget, *notebook.cells]), timeout=CELL, km=kernel)
    client.execute(cleanup_kc=False)
    client.kc.stop_channels()
    return client.nb


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file, kernel):
    notebook = executed(read(file), kernel)
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())]
    pages = "".join(data.get("text/html", "") for data in shown)
    assert "<table" in pages
    if imported(file) & {"altair", "models.plots"}:
        assert "vega" in pages or any("image/png" in data for data in shown), "it draws, and no picture came out"


def imported(file: Path) -> set[str]:
    """The modules that a notebook imports."""
    nodes = [node for tree in trees(file) for node in ast.walk(tree)]
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return whole | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def trees(file: Path) -> list[ast.Module]:
    plain = TransformerManager().transform_cell
    return [ast.parse(plain(cell.source)) for cell in code_cells(file)]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_uses_what_it_imports(file):
    nodes = [node for tree in trees(file) for node in ast.walk(tree)]
    names = {
        alias.asname or alias.name.partition(".")[0]
        for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }
    assert not names - {node.id for node in nodes if isinstance(node, ast.Name)}


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_stored_without_outputs(file):
    left = [cell.id for cell in code_cells(file) if cell.outputs or cell.execution_count is not None]
    assert not left, "clear all outputs before it is saved"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_uses_public_names_only(file):
    assert not {name for tree in trees(file) for name in private_names(tree)}


def test_private_names_are_seen():
    source = "import a._b\nfrom c import _d, e\nx._f()\nfrom _g import h\nfrom models.plots import png\ny.z\n"
    assert private_names(ast.parse(source)) == {"a._b", "c._d", "_f", "_g.h"}
