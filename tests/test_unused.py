"""Every function, class and table of the program is used outside of the tests."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.test_imports import ROOT, sources

PROGRAM = ("components", "node")


def _definitions(path: Path) -> Iterator[str]:
    """The names of a module: functions, classes, constants and methods."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (name.id for name in node.targets if isinstance(name, ast.Name) and name.id.isupper())


def test_every_name_of_the_program_is_used():
    words = Counter(word for path in sources() for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))
    modules = [ROOT / "exports.py", ROOT / "node_groups.py"]
    modules += [path for part in PROGRAM for path in sorted((ROOT / part).glob("*.py"))]
    names = {name for path in modules for name in _definitions(path) if not name.startswith("__")}
    assert len(names) > 100
    assert not sorted(name for name in names if words[name] == 1), "delete them, and the tests that alone use them"
