"""Every function, class and table of the program is used outside of the tests."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.test_imports import ROOT, sources

PROGRAM = ("components", "node")
ROOTFS = ROOT / "node" / "rootfs"


def _definitions(path: Path) -> Iterator[str]:
    """The names of a module: functions, classes, constants and methods."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (name.id for name in node.targets if isinstance(name, ast.Name) and name.id.isupper())


def test_every_name_of_the_program_is_used():
    words = Counter(word for path in sources() for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))
    modules = [ROOT / "exports.py", ROOT / "node_groups.py", ROOT / "cluster_alarms.py"]
    modules += [path for part in PROGRAM for path in sorted((ROOT / part).glob("*.py"))]
    names = {name for path in modules for name in _definitions(path) if not name.startswith("__")}
    assert len(names) > 100
    assert not sorted(name for name in names if words[name] == 1), "delete them, and the tests that alone use them"


def test_every_name_of_the_node_programs_is_used():
    programs = {path: path.read_text(encoding="utf-8") for path in sources() if path.is_relative_to(ROOTFS)}
    others = [*sources(), *sorted(ROOTFS.rglob("*.service"))]
    assert len(programs) > 80
    unused = _unused(programs, {path: path.read_text(encoding="utf-8") for path in others if path not in programs})
    # Flask AppBuilder reads every constant of webserver_config; kombu gets its transport by a name that is composed.
    # Airflow calls these for the logs of tasks.
    exempt = {
        ("worker_messages", "Transport"),
        ("node_logging", "REMOTE_TASK_LOG"),
        ("task_logs", "upload"),
        ("task_logs", "stream"),
        ("task_log_handler", "TaskLogHandler"),
        ("task_log_handler", "_read"),
        ("task_log_handler", "_read_from_local"),
    }
    unused = [each for each in unused if each[0] != "webserver_config" and each not in exempt]
    assert not unused, "delete them, and the tests that alone use them"


def test_a_name_of_the_node_programs_that_nothing_uses_is_found():
    programs = {
        Path("pool.py"): "LIMIT = 1\nUNUSED = 2\ndef size(): return LIMIT\n"
        "class Pool:\n    def grow(self): pass\n    def shrink(self): pass\n",
        Path("scale"): "import pool\nprint(pool.size())\npool.Pool().grow()\ndef main(): pass\n",
        Path("fleet.py"): "def size(): pass\ndef setting(): pass\n@signal.connect\ndef on_signal(): pass\n",
    }
    others = {
        Path("options.py"): "from scale import main\nOPTION = 'fleet.setting'",
        Path("airflow-size.service"): "Environment=CLASS=fleet:size",
    }
    assert _unused(programs, others) == [("pool", "UNUSED"), ("pool", "shrink")]
    assert _unused(programs, {}) == [
        ("pool", "UNUSED"),
        ("pool", "shrink"),
        ("scale", "main"),
        ("fleet", "size"),
        ("fleet", "setting"),
    ]


def _unused(programs: Mapping[Path, str], others: Mapping[Path, str]) -> list[tuple[str, str]]:
    """Module and name of each definition in the programs to which neither they nor the other files refer.

    A name of a module is used by the module itself, by an import, as an attribute of the module, or by another file as
    units and Airflow's options write it ("module.name"). A method is used if an attribute has its name. A decorator,
    such as that of a Celery signal, uses what it decorates, and a base class may call what overrides its methods.
    """
    trees = {path: ast.parse(text) for path, text in programs.items()}
    referred = {reference for tree in trees.values() for reference in _references(tree)}
    for path, text in others.items():
        referred |= set(re.findall(r"\b(\w+)[.:](\w+)\b", text))
        if path.suffix != ".service":
            referred |= set(_references(ast.parse(text)))
    attributes = {name for _, name in referred}
    found = []
    for path, tree in trees.items():
        module = path.parent.name if path.stem == "__init__" else path.stem
        own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        found += [(module, name) for name in _module_names(tree) if name not in own and (module, name) not in referred]
        found += [(module, name) for name in _methods(tree) if name not in attributes]
    return found


def _module_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from [] if node.decorator_list and isinstance(node, ast.FunctionDef) else [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


def _methods(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.bases:
            yield from (
                each.name for each in node.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("__")
            )


def _references(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name of what a file refers to; for an attribute of something else, whatever has the attribute."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (((node.module or "").rpartition(".")[2], alias.name) for alias in node.names)
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name.rpartition(".")[2] for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield modules.get(ast.unparse(node.value), ast.unparse(node.value)), node.attr
