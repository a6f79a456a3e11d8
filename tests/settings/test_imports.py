"""The modules of the settings import each other in one direction."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack_file import ROOT


def _graph(package: Path) -> dict[str, set[str]]:
    """Each module and the modules of the package that it imports, including imports for type checkers only."""
    files = {".".join(file.relative_to(package.parent).with_suffix("").parts): file for file in package.rglob("*.py")}
    return {name: {module for module in _imported(file) if module in files} for name, file in files.items()}


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def test_no_module_imports_itself_through_others():
    graphlib.TopologicalSorter(_graph(ROOT / "settings")).prepare()


def test_a_cycle_of_imports_for_type_checkers_only_is_found(tmp_path: Path):
    package = tmp_path / "settings"
    package.mkdir()
    (package / "one.py").write_text("from settings import two\n")
    (package / "two.py").write_text("if TYPE_CHECKING:\n    from settings.one import One\n")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(_graph(package)).prepare()
